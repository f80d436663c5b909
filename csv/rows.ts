/** The three tables as rows, and their rendering as CSV (RFC 4180, but with LF line ends; UTF-8, no BOM). */

/** A row of users.csv. */
export interface UserRow {
  readonly id: number;
  readonly username: string;
  readonly email: string;
  /** Unix time, whole seconds. */
  readonly createdAt: number;
}

/** A row of urls.csv. */
export interface UrlRow {
  readonly id: number;
  /** `null` for a link made without an account. */
  readonly userId: number | null;
  /** Six of [A-Za-z0-9]. */
  readonly shortCode: string;
  readonly originalUrl: string;
  /** May be empty. */
  readonly title: string;
  readonly isActive: boolean;
  /** Unix time, whole seconds. */
  readonly createdAt: number;
  /** Unix time, whole seconds; equal to `createdAt` where the link was never updated. */
  readonly updatedAt: number;
}

/** A row of events.csv. */
export interface EventRow {
  readonly id: number;
  readonly urlId: number;
  /** The link's owner, whoever clicked. */
  readonly userId: number | null;
  readonly type: 'created' | 'updated' | 'deleted' | 'click';
  /** Unix time, whole seconds. */
  readonly timestamp: number;
  readonly details: Readonly<Record<string, string | boolean>>;
}

/** All rows, each table in the order of its ids. */
export interface Dataset {
  readonly users: readonly UserRow[];
  readonly urls: readonly UrlRow[];
  readonly events: readonly EventRow[];
}

type Cell = string | number | null;

/** The files of a data set: name to text. */
export function renderFiles(data: Dataset): ReadonlyMap<string, string> {
  return new Map([
    ['users.csv', renderUsers(data.users)],
    ['urls.csv', renderUrls(data.urls)],
    ['events.csv', renderEvents(data.events)],
  ]);
}

/** Unix seconds as `YYYY-MM-DD HH:MM:SS`, UTC. */
export function formatTimestamp(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');
}

function renderUsers(users: readonly UserRow[]): string {
  return render(
    ['id', 'username', 'email', 'created_at'],
    users.map((user) => [user.id, user.username, user.email, formatTimestamp(user.createdAt)]),
  );
}

function renderUrls(urls: readonly UrlRow[]): string {
  return render(
    ['id', 'user_id', 'short_code', 'original_url', 'title', 'is_active', 'created_at', 'updated_at'],
    urls.map((url) => [
      url.id,
      url.userId,
      url.shortCode,
      url.originalUrl,
      url.title,
      url.isActive ? 'True' : 'False',
      formatTimestamp(url.createdAt),
      formatTimestamp(url.updatedAt),
    ]),
  );
}

function renderEvents(events: readonly EventRow[]): string {
  return render(
    ['id', 'url_id', 'user_id', 'event_type', 'timestamp', 'details'],
    events.map((event) => [
      event.id,
      event.urlId,
      event.userId,
      event.type,
      formatTimestamp(event.timestamp),
      JSON.stringify(event.details),
    ]),
  );
}

function render(header: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return [header, ...rows].map((cells) => `${cells.map(quote).join(',')}\n`).join('');
}

/** A cell, in quotes only where it has to be; `null` is an empty cell. */
function quote(cell: Cell): string {
  const text = cell === null ? '' : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
