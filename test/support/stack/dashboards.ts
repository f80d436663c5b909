import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './compose.js';

export interface Target {
  readonly refId: string;
  readonly expr?: string;
  readonly rawSql?: string;
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly Target[];
  readonly fieldConfig?: {
    readonly defaults: {
      readonly unit?: string;
      readonly thresholds?: { readonly steps: readonly { value: number | null }[] };
    };
  };
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { name: string; definition: string }[] };
  readonly annotations: { readonly list: readonly { expr: string }[] };
}

const folder = path.join(root, 'ops/grafana/dashboards');

/** The committed dashboards, by file name. */
export function readDashboards(): Map<string, Dashboard> {
  return new Map(
    readdirSync(folder).map((name) => [
      name,
      JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as Dashboard,
    ]),
  );
}

/** Every PromQL expression of the dashboards, as [its place, expression without Grafana's variables]. */
export function dashboardExpressions(): [where: string, expression: string][] {
  const found: [string, string][] = [];
  for (const { title, panels, annotations } of readDashboards().values()) {
    for (const panel of panels) {
      for (const { expr } of panel.targets ?? []) {
        if (expr !== undefined) found.push([`${title} / ${panel.title}`, expr]);
      }
    }
    for (const { expr } of annotations.list) found.push([`${title} / annotation`, expr]);
  }
  return found.map(([where, expression]) => [
    where,
    expression.replaceAll('$__rate_interval', '20s').replaceAll('$instance', '.*'),
  ]);
}
