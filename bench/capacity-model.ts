/** The measured unit costs; CPU in microseconds, sizes in bytes. */
export interface UnitCosts {
  /** Server CPU of a redirect from the cache, its click journalled. */
  readonly hitMicros: number;
  /** Server and database CPU of a redirect that has to look its link up. */
  readonly missMicros: number;
  readonly missDatabaseMicros: number;
  readonly createMicros: number;
  readonly createDatabaseMicros: number;
  /** Ingesting one journalled click. */
  readonly ingestMicros: number;
  readonly ingestDatabaseMicros: number;
  /** Redirects a second that one gateway thread was seen to answer. */
  readonly hitsPerGateway: number;
  /** Clicks a second that one connection was seen to ingest. */
  readonly clicksIngestedPerConnection: number;
  /** Of a click, in each place it is written to. */
  readonly journalBytes: number;
  readonly eventTableBytes: number;
  readonly eventIndexBytes: number;
  readonly walBytes: number;
  /** Of a link, with its indexes, in the database; and in a gateway's cache. */
  readonly linkBytes: number;
  readonly cachedLinkBytes: number;
}

export const unitCostNames = [
  'hitMicros',
  'missMicros',
  'missDatabaseMicros',
  'createMicros',
  'createDatabaseMicros',
  'ingestMicros',
  'ingestDatabaseMicros',
  'hitsPerGateway',
  'clicksIngestedPerConnection',
  'journalBytes',
  'eventTableBytes',
  'eventIndexBytes',
  'walBytes',
  'linkBytes',
  'cachedLinkBytes',
] as const satisfies readonly (keyof UnitCosts)[];

/** Assumptions: decided or guessed, not measured. */
export interface Assumptions {
  /** Share of redirects whose link is in the cache. */
  readonly hitShare: number;
  /** Links created for each redirect. */
  readonly createShare: number;
  /** Share of a core that may be in use at the peak. */
  readonly utilization: number;
  readonly coresPerServer: number;
  readonly coresOfDatabase: number;
  /** A day's mean traffic divided by its peak: disks fill at the mean, cores are for the peak. */
  readonly meanOfPeak: number;
  /** How long clicks are kept as single events. */
  readonly retentionDays: number;
  /** Throughput of the database's log disk, bytes a second. */
  readonly walDiskBytesPerSecond: number;
}

export const defaultAssumptions: Assumptions = {
  hitShare: 0.98,
  createShare: 0.001,
  utilization: 0.6,
  coresPerServer: 16,
  coresOfDatabase: 32,
  meanOfPeak: 0.5,
  retentionDays: 30,
  walDiskBytesPerSecond: 500e6,
};

export interface Plan {
  readonly redirectsPerSecond: number;
  /** Cores for gateways and calls, and for the ingest beside them. */
  readonly servingCores: number;
  readonly ingestCores: number;
  /** Without a spare one. */
  readonly servers: number;
  readonly databaseCores: number;
  /** Primaries with this many cores, if clicks and links are split among them. */
  readonly databases: number;
  readonly ingestConnections: number;
  readonly journalBytesPerSecond: number;
  readonly walBytesPerSecond: number;
  readonly eventBytesPerDay: number;
  /** Events as long as they are kept. */
  readonly eventBytes: number;
}

const SECONDS_A_DAY = 86_400;

/** Core-seconds that one redirect costs, by where. */
export function coreSecondsOf(
  costs: UnitCosts,
  { hitShare, createShare }: Assumptions,
): { serving: number; ingest: number; database: number } {
  const missShare = 1 - hitShare;
  return {
    serving:
      (hitShare * costs.hitMicros + missShare * costs.missMicros + createShare * costs.createMicros) / 1e6,
    ingest: costs.ingestMicros / 1e6,
    database:
      (missShare * costs.missDatabaseMicros +
        createShare * costs.createDatabaseMicros +
        costs.ingestDatabaseMicros) /
      1e6,
  };
}

/** The needs of a peak of this many redirects a second. */
export function planFor(redirectsPerSecond: number, costs: UnitCosts, assumptions: Assumptions): Plan {
  const { utilization, coresPerServer, coresOfDatabase, meanOfPeak, retentionDays } = assumptions;
  const each = coreSecondsOf(costs, assumptions);
  const servingCores = (redirectsPerSecond * each.serving) / utilization;
  const ingestCores = (redirectsPerSecond * each.ingest) / utilization;
  const databaseCores = (redirectsPerSecond * each.database) / utilization;
  const walBytesPerSecond = redirectsPerSecond * costs.walBytes;
  const databases = Math.max(
    Math.ceil(databaseCores / coresOfDatabase),
    Math.ceil(walBytesPerSecond / assumptions.walDiskBytesPerSecond),
    1,
  );
  const eventBytesPerDay =
    redirectsPerSecond * meanOfPeak * SECONDS_A_DAY * (costs.eventTableBytes + costs.eventIndexBytes);
  return {
    redirectsPerSecond,
    servingCores,
    ingestCores,
    servers: Math.max(1, Math.ceil((servingCores + ingestCores) / coresPerServer)),
    databaseCores,
    databases,
    ingestConnections: Math.ceil(redirectsPerSecond / costs.clicksIngestedPerConnection / utilization),
    journalBytesPerSecond: redirectsPerSecond * costs.journalBytes,
    walBytesPerSecond,
    eventBytesPerDay,
    eventBytes: eventBytesPerDay * retentionDays,
  };
}

export interface Saturation {
  readonly part: string;
  /** The redirects a second at which it is exhausted, under the assumptions. */
  readonly redirectsPerSecond: number;
  readonly remedy: string;
}

/** The limit of each part, the lowest first, and what to change then. */
export function saturations(costs: UnitCosts, assumptions: Assumptions): Saturation[] {
  const { utilization, coresPerServer, coresOfDatabase, walDiskBytesPerSecond } = assumptions;
  const each = coreSecondsOf(costs, assumptions);
  const all: Saturation[] = [
    {
      part: 'one gateway thread',
      redirectsPerSecond: costs.hitsPerGateway * utilization,
      remedy: 'raise GATEWAY_THREADS, up to the cores less those of the workers',
    },
    {
      part: 'one ingest connection',
      redirectsPerSecond: costs.clicksIngestedPerConnection * utilization,
      remedy: 'more gateways have more journals, ingested side by side on up to 2 connections a server',
    },
    {
      part: `one server of ${coresPerServer} cores`,
      redirectsPerSecond: (coresPerServer * utilization) / (each.serving + each.ingest),
      remedy: 'add servers: they share nothing but the database',
    },
    {
      part: `one PostgreSQL of ${coresOfDatabase} cores`,
      redirectsPerSecond: (coresOfDatabase * utilization) / each.database,
      remedy: 'keep counters and drop single events, or split events by link over several databases',
    },
    {
      part: 'the disk of the write-ahead log',
      redirectsPerSecond: walDiskBytesPerSecond / costs.walBytes,
      remedy: 'fewer indexes on events, or a log of its own for clicks beside PostgreSQL',
    },
  ];
  return all.sort((one, other) => one.redirectsPerSecond - other.redirectsPerSecond);
}

/** Disk and memory of the links themselves. */
export function linkStorage(
  links: number,
  cachedLinks: number,
  costs: UnitCosts,
): { databaseBytes: number; cacheBytes: number } {
  return { databaseBytes: links * costs.linkBytes, cacheBytes: cachedLinks * costs.cachedLinkBytes };
}
