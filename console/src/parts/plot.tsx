import { useEffect, useRef } from 'preact/hooks';
import type uPlot from 'uplot';
import { useStore } from '../store.js';
import { theme } from '../theme.js';

export interface Series {
  readonly label: string;
  readonly values: readonly (number | null)[];
  /** The custom property of its colour. */
  readonly colour: string;
}

interface PlotProps {
  /** Unix seconds. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly height: number;
  readonly kind: 'bars' | 'line';
  readonly timezone?: string;
  /** The text for a moment that is pointed at. */
  readonly say?: ((index: number) => string) | undefined;
  readonly label: string;
  readonly hasAxes?: boolean;
  /** A thin rule, if the values come near it. */
  readonly limit?: number | undefined;
  /** The minimum value of the top of the plot. */
  readonly top?: number;
  /** The minimum number of seconds across the width. */
  readonly span?: number;
}

/** uPlot is loaded with the first plot: the list does not need it. */
const library = (): Promise<typeof uPlot> => import('../plot-library.js').then((module) => module.uPlot);

const colourOf = (element: Element, name: string): string => {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
};

/** A plot over time. Hover and arrow keys read a value; a table elsewhere has the numbers. */
export function Plot(props: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const said = useRef<HTMLParagraphElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const { times, series, height, kind, timezone, label, hasAxes = true } = props;
  const chosen = useStore(theme);
  const shape = `${kind} ${height} ${timezone} ${hasAxes} ${series.map((one) => one.label).join()} ${chosen}`;

  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    let isOver = false;
    const dark = window.matchMedia('(prefers-color-scheme: dark)');
    const draw = (Library: typeof uPlot): void => {
      plot.current?.destroy();
      plot.current = new Library(
        optionsOf(latest.current, element, Library, tell),
        dataOf(latest.current),
        element,
      );
    };
    const tell = (index: number | null | undefined): void => {
      if (said.current === null) return;
      said.current.textContent =
        index === null || index === undefined ? '' : (latest.current.say?.(index) ?? '');
    };
    let redraw = (): void => undefined;
    void library().then((Library) => {
      if (isOver) return;
      redraw = () => draw(Library);
      redraw();
      dark.addEventListener('change', redraw);
    });
    const resized = new ResizeObserver(() => {
      plot.current?.setSize({ width: element.clientWidth, height: latest.current.height });
    });
    resized.observe(element);
    return () => {
      isOver = true;
      dark.removeEventListener('change', redraw);
      resized.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(dataOf(props)), [times, series]);

  const read = (event: KeyboardEvent): void => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -times.length, End: times.length }[event.key];
    const current = plot.current;
    if (step === undefined || current === undefined) return;
    event.preventDefault();
    const at = current.cursor.idx ?? (step > 0 ? -1 : times.length);
    const next = Math.min(times.length - 1, Math.max(0, at + step));
    current.setCursor({ left: current.valToPos(times[next] ?? 0, 'x'), top: 0 });
  };
  return (
    <figure class="plot" aria-label={label}>
      <div
        ref={place}
        class="plot-area"
        tabIndex={props.say === undefined ? -1 : 0}
        role="img"
        aria-label={label}
        onKeyDown={read}
        style={{ blockSize: `${height}px` }}
      />
      {props.say === undefined ? null : <p class="plot-said" role="status" ref={said} />}
    </figure>
  );
}

const dataOf = ({ times, series, limit }: PlotProps): uPlot.AlignedData => [
  times as number[],
  ...series.map(({ values }) => values as (number | null)[]),
  ...(limit === undefined ? [] : [times.map(() => (isNear(series, limit) ? limit : null))]),
];

/** Further away it would flatten the values. */
const isNear = (series: PlotProps['series'], limit: number): boolean =>
  series.some(({ values }) => values.some((value) => value !== null && value * 3 > limit));

const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });

function optionsOf(
  props: PlotProps,
  element: HTMLElement,
  Library: typeof uPlot,
  tell: (index: number | null | undefined) => void,
): uPlot.Options {
  const { series, height, kind, timezone, hasAxes = true, limit, span = 0 } = props;
  const ink = colourOf(element, '--ink-2');
  const line = colourOf(element, '--line');
  const axis = {
    stroke: ink,
    grid: { stroke: line, width: 1 },
    ticks: { show: false },
    font: '12px system-ui',
  } as const;
  const bars = Library.paths.bars?.({ size: [0.7, 60], align: 1 });
  return {
    width: element.clientWidth,
    height,
    legend: { show: false },
    // Room for half of the last moment's label.
    padding: [8, kind === 'line' ? 32 : 20, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    ...(timezone === undefined
      ? {}
      : { tzDate: (seconds: number) => Library.tzDate(new Date(seconds * 1000), timezone) }),
    scales: {
      x: {
        time: true,
        range: (_plot, min, max) => [
          Math.min(min, max - span),
          kind === 'bars' ? max + stepOf(props.times) : max,
        ],
      },
      y: { range: (_plot, _min, max) => [0, Math.max(props.top ?? 1, max * 1.1)] },
    },
    axes: hasAxes
      ? [
          {
            ...axis,
            grid: { show: false },
            space: 84,
            size: 28,
            values: (_plot, splits) => splits.map(timeFormat(props)),
          },
          {
            ...axis,
            size: 48,
            space: height < 160 ? 20 : 36,
            incrs: [
              1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6,
              1e7, 1e8, 1e9,
            ],
            values: (_plot, splits) => splits.map((value) => short.format(value)),
          },
        ]
      : [{ show: false }, { show: false }],
    series: [
      {},
      ...series.map(({ label, colour }) => ({
        label,
        stroke: colourOf(element, colour),
        width: kind === 'bars' ? 0 : 1.5,
        points: { show: false },
        ...(kind === 'bars'
          ? { fill: colourOf(element, colour), ...(bars === undefined ? {} : { paths: bars }) }
          : {}),
      })),
      ...(limit === undefined
        ? []
        : [{ label: 'limit', stroke: ink, width: 1, dash: [4, 4], points: { show: false } }]),
    ],
    hooks: { setCursor: [(plot) => tell(plot.cursor.idx)] },
  };
}

/** The label of a moment below the plot, as precise as the plot. */
function timeFormat({ times, timezone }: PlotProps): (seconds: number) => string {
  const step = stepOf(times);
  const zone = timezone === undefined ? {} : { timeZone: timezone };
  const options: Intl.DateTimeFormatOptions =
    step < 60
      ? { hour: '2-digit', minute: '2-digit', second: '2-digit' }
      : step < 86_400 * 0.9
        ? { hour: '2-digit', minute: '2-digit' }
        : step < 86_400 * 20
          ? { day: 'numeric', month: 'short' }
          : { month: 'short', year: 'numeric' };
  const format = new Intl.DateTimeFormat(undefined, { ...options, ...zone });
  return (seconds) => format.format(new Date(seconds * 1000));
}

function stepOf(times: readonly number[]): number {
  const [first = 0, second = first + 86_400] = times;
  return second - first;
}
