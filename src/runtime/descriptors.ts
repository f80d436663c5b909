import { readFileSync } from 'node:fs';

/** How many descriptors (files, sockets) the process may have open; Infinity without a limit. */
export function descriptorLimit(): number {
  const limit = process.platform === 'linux' ? limitFromProc() : limitFromReport();
  return Number.isFinite(limit) && limit > 0 ? limit : Number.POSITIVE_INFINITY;
}

function limitFromProc(): number {
  return Number(/^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
}

function limitFromReport(): number {
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: unknown } } };
  return Number(report.userLimits?.open_files?.soft);
}
