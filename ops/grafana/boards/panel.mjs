// Makes Grafana's JSON from a few words for each panel. Dashboards are written here and not in Grafana, to make
// changes reviewable; `npm run dashboards` writes the JSON.

const prometheus = { type: 'prometheus', uid: 'prometheus' };
const postgres = { type: 'grafana-postgresql-datasource', uid: 'postgres' };

/** Width of a dashboard in Grafana's units. */
const FULL_WIDTH = 24;

/** A threshold as [lowest value, colour]; the first one has no lower bound. */
function thresholdsOf(steps) {
  const all = [[null, 'green'], ...steps];
  return { mode: 'absolute', steps: all.map(([value, color]) => ({ value, color })) };
}

/** A panel over PromQL. `queries` are [expression, legend]. */
function metricPanel(type, title, spec, options) {
  const { unit, description, queries, thresholds = [], width = 12, height = 8, min, max, custom = {} } = spec;
  return {
    type,
    title,
    description,
    datasource: prometheus,
    width,
    height,
    targets: queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: prometheus,
      editorMode: 'code',
      expr,
      legendFormat,
      range: type !== 'stat',
      instant: type === 'stat',
    })),
    fieldConfig: {
      defaults: {
        unit,
        thresholds: thresholdsOf(thresholds),
        color: { mode: type === 'stat' ? 'thresholds' : 'palette-classic' },
        ...(min === undefined ? {} : { min }),
        ...(max === undefined ? {} : { max }),
        custom,
      },
      overrides: [],
    },
    options,
  };
}

/** Lines over time. With thresholds, they are drawn as dashed lines. */
export function lines(title, spec) {
  const hasThresholds = (spec.thresholds ?? []).length > 0;
  return metricPanel(
    'timeseries',
    title,
    {
      ...spec,
      custom: {
        drawStyle: 'line',
        lineWidth: 1,
        fillOpacity: spec.stacked ? 30 : 10,
        showPoints: 'never',
        spanNulls: false,
        stacking: { mode: spec.stacked ? 'normal' : 'none', group: 'A' },
        thresholdsStyle: { mode: hasThresholds ? 'dashed' : 'off' },
        scaleDistribution: spec.logarithmic ? { type: 'log', log: 10 } : { type: 'linear' },
      },
    },
    {
      legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  );
}

/** One number, coloured by its thresholds. */
export function number(title, spec) {
  return metricPanel(
    'stat',
    title,
    { width: 4, height: 4, ...spec },
    {
      colorMode: 'value',
      graphMode: 'none',
      justifyMode: 'auto',
      orientation: 'auto',
      textMode: 'auto',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    },
  );
}

/** A table from a query to the database; `unit` applies to its number columns. */
export function table(title, { unit, description, sql, width = 12, height = 8, sortBy }) {
  return {
    type: 'table',
    title,
    description,
    datasource: postgres,
    width,
    height,
    targets: [
      { refId: 'A', datasource: postgres, editorMode: 'code', format: 'table', rawQuery: true, rawSql: sql },
    ],
    fieldConfig: {
      defaults: {
        unit,
        thresholds: thresholdsOf([]),
        color: { mode: 'thresholds' },
        custom: { align: 'auto' },
      },
      overrides: [],
    },
    options: {
      showHeader: true,
      cellHeight: 'sm',
      footer: { show: false, reducer: ['sum'], fields: '' },
      sortBy: sortBy === undefined ? [] : [{ displayName: sortBy, desc: true }],
    },
  };
}

/** A heading over the panels that follow. */
export function row(title) {
  return { type: 'row', title, width: FULL_WIDTH, height: 1, collapsed: false, panels: [] };
}

/** Puts as many panels side by side as fit, and numbers them. */
function layOut(panels) {
  let x = 0;
  let y = 0;
  let rowHeight = 0;
  return panels.map(({ width, height, ...panel }, index) => {
    if (x + width > FULL_WIDTH) {
      x = 0;
      y += rowHeight;
      rowHeight = 0;
    }
    const placed = { id: index + 1, ...panel, gridPos: { x, y, w: width, h: height } };
    x += width;
    rowHeight = Math.max(rowHeight, height);
    return placed;
  });
}

/** A whole dashboard. `hasReplicas` adds a choice of replicas, `$instance` in its expressions. */
export function dashboard({ uid, title, description, hasReplicas = false, panels }) {
  const instance = {
    name: 'instance',
    label: 'Replica',
    type: 'query',
    datasource: prometheus,
    query: { query: 'label_values(up{job="switchyard"}, instance)', refId: 'instance' },
    definition: 'label_values(up{job="switchyard"}, instance)',
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { text: ['All'], value: ['$__all'] },
  };
  return {
    uid,
    title,
    description,
    tags: ['switchyard'],
    schemaVersion: 39,
    version: 1,
    editable: false,
    graphTooltip: 1,
    refresh: '10s',
    time: { from: 'now-1h', to: 'now' },
    timepicker: {},
    timezone: 'browser',
    templating: { list: hasReplicas ? [instance] : [] },
    annotations: {
      list: [
        {
          name: 'Alerts',
          datasource: prometheus,
          enable: true,
          hide: false,
          iconColor: 'red',
          expr: 'ALERTS{alertstate="firing"}',
          titleFormat: '{{alertname}}',
          textFormat: '{{instance}}',
          step: '10s',
        },
      ],
    },
    links: [
      {
        title: 'Switchyard',
        type: 'dashboards',
        tags: ['switchyard'],
        asDropdown: true,
        includeVars: true,
        keepTime: true,
      },
    ],
    panels: layOut(panels),
  };
}
