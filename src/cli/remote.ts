import { createWriteStream } from 'node:fs';
import { Argument, type Command, Option } from 'commander';
import type { Z } from '../api/schema.js';
import { ApiClient, RefusedError } from './client.js';
import { type Field, fieldsOf, optionOf, valuesOf } from './fields.js';
import { print, type Row, show } from './output.js';
import { startProgress } from './progress.js';

type Given = Readonly<Record<string, unknown>>;

const DEFAULT_ROWS = '50';
const linkColumns = ['id', 'short_code', 'click_count', 'is_active', 'title', 'original_url'];
const userColumns = ['id', 'username', 'email', 'created_at'];
const keyColumns = ['id', 'name', 'prefix', 'scopes', 'user_id', 'last_used_at', 'expires_at'];

const SERVER = `
The server is the one that SWITCHYARD_URL names (http://localhost:5000), with the key of SWITCHYARD_KEY.`;

/** Adds the commands that work on a server by its API. */
export function addRemoteCommands(program: Command, z: Z): void {
  const links = group(program, 'links', 'short links');
  add(links, 'add', 'makes a link', '<url>', fieldsOf(z, 'POST /urls', 'body'), ['original_url'])
    .addHelpText('after', examples('links add https://example.com/sale --short-code sale --tags spring,sale'))
    .action(
      act((client, given, fields, url) =>
        client.json('POST', '/urls', { original_url: url, ...valuesOf(fields, given) }),
      ),
    );
  add(links, 'get', 'shows a link', '<link>', [])
    .addHelpText('after', examples('links get 17', 'links get sale'))
    .action(act((client, _given, _fields, link) => findLink(client, link)));
  add(links, 'set', 'changes the given fields of a link', '<link>', fieldsOf(z, 'PATCH /urls/:id', 'body'))
    .addHelpText(
      'after',
      examples('links set sale --expires-at 2027-01-01', 'links set 17 --title none --is-active false'),
    )
    .action(
      act(async (client, given, fields, link) => {
        const { id } = await findLink(client, link);
        return client.json('PATCH', `/urls/${String(id)}`, valuesOf(fields, given));
      }),
    );
  add(links, 'rm', 'deletes links and their events', '<links...>', [])
    .addHelpText('after', examples('links rm sale', 'links rm 17 18 19'))
    .action(
      act((client, _given, _fields, ...names) =>
        removeAll(names, async (name) => {
          const { id } = await findLink(client, name);
          await client.json('DELETE', `/urls/${String(id)}`);
        }),
      ),
    );
  addList(links, 'GET /urls', linkColumns, z, 'links list --is-active true --json');
  add(links, 'import', 'makes links from a CSV file', '<file>', fieldsOf(z, 'POST /urls/import', 'query'))
    .addHelpText(
      'after',
      examples('links import links.csv', 'links import bitly.csv --format bitly --dry-run'),
    )
    .action(
      act((client, given, fields, file) => client.upload(`/urls/import${queryOf(fields, given)}`, file)),
    );
  links
    .command('export')
    .description('writes all links as CSV')
    .addOption(
      new Option('--format <value>', 'csv, ndjson or json').choices(['csv', 'ndjson', 'json']).default('csv'),
    )
    .option('--output <file>', 'output file; by default the standard output')
    .addHelpText('after', examples('links export --output links.csv', 'links export --format ndjson | wc -l'))
    .action(async (given: { format: string; output?: string }) => {
      const to = given.output === undefined ? process.stdout : createWriteStream(given.output);
      await new ApiClient(process.env).stream(`/urls?format=${given.format}`, to);
    });

  const users = group(program, 'users', 'users');
  const userBody = fieldsOf(z, 'POST /users', 'body');
  add(users, 'add', 'makes a user', '', userBody)
    .addHelpText('after', examples('users add --username ada --email ada@example.com'))
    .action(act((client, given, fields) => client.json('POST', '/users', valuesOf(fields, given))));
  add(users, 'get', 'shows a user', '<id>', [])
    .addHelpText('after', examples('users get 3'))
    .action(act((client, _given, _fields, id) => client.json('GET', `/users/${encodeURIComponent(id)}`)));
  add(users, 'set', 'changes the given fields of a user', '<id>', fieldsOf(z, 'PUT /users/:id', 'body'))
    .addHelpText('after', examples('users set 3 --email ada@example.org'))
    .action(
      act((client, given, fields, id) =>
        client.json('PUT', `/users/${encodeURIComponent(id)}`, valuesOf(fields, given)),
      ),
    );
  add(users, 'rm', 'deletes users, their links and all events of both', '<ids...>', [])
    .addHelpText('after', examples('users rm 3'))
    .action(
      act((client, _given, _fields, ...ids) =>
        removeAll(ids, (id) => client.json('DELETE', `/users/${encodeURIComponent(id)}`)),
      ),
    );
  addList(users, 'GET /users', userColumns, z, 'users list --json');
  add(users, 'import', 'makes users from a CSV file', '<file>', [])
    .addHelpText('after', examples('users import users.csv'))
    .action(act((client, _given, _fields, file) => client.upload('/users/bulk', file)));

  const keys = group(program, 'keys', 'API keys; they want a key with scope admin');
  add(keys, 'add', 'creates a key and shows it only once', '', keyFields(z))
    .addHelpText('after', examples('keys add --name dashboard --scopes links:read,stats:read'))
    .action(act((client, given, fields) => client.json('POST', '/keys', valuesOf(fields, given))));
  add(keys, 'list', 'lists keys, without the keys themselves', '', [])
    .addHelpText('after', examples('keys list'))
    .action(act((client) => client.json('GET', '/keys'), keyColumns));
  add(keys, 'rm', 'revokes keys', '<ids...>', [])
    .addHelpText('after', examples('keys rm 4'))
    .action(
      act((client, _given, _fields, ...ids) =>
        removeAll(ids, (id) => client.json('DELETE', `/keys/${encodeURIComponent(id)}`)),
      ),
    );
}

/** From the server's own schema, if this version has it. */
function keyFields(z: Z): Field[] {
  const declared = fieldsOf(z, 'POST /keys', 'body');
  if (declared.length > 0) return declared;
  const text = { type: 'string' };
  return [
    { name: 'name', schema: text },
    { name: 'scopes', schema: { type: 'array', items: text } },
    { name: 'user_id', schema: { type: 'integer' } },
    { name: 'expires_at', schema: text },
  ];
}

function group(program: Command, name: string, description: string): Command {
  return program.command(name).description(description).addHelpText('after', SERVER);
}

interface Fielded extends Command {
  fields?: readonly Field[];
}

function add(
  parent: Command,
  name: string,
  description: string,
  argument: string,
  fields: readonly Field[],
  hidden: readonly string[] = [],
): Command {
  const command: Fielded = parent.command(name).description(description);
  if (argument !== '') command.addArgument(new Argument(argument));
  const shown = fields.filter((field) => !hidden.includes(field.name));
  for (const field of shown) command.addOption(optionOf(field));
  command.fields = shown;
  return command.option('--json', 'prints the answer as JSON');
}

/** Runs a command and shows its answer. */
function act(
  perform: (
    client: ApiClient,
    given: Given,
    fields: readonly Field[],
    ...names: string[]
  ) => Promise<unknown>,
  columns: readonly string[] = [],
): (...args: unknown[]) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Fielded;
    const given = args.at(-2) as Given;
    const names = args.slice(0, -2).flat() as string[];
    const answer = await perform(new ApiClient(process.env), given, command.fields ?? [], ...names);
    if (answer !== undefined) show(answer, given.json === true, columns);
  };
}

function addList(parent: Command, route: string, columns: readonly string[], z: Z, example: string): void {
  const [, path = ''] = route.split(' ');
  const fields = fieldsOf(z, route, 'query').filter(
    ({ name }) => !['format', 'raw', 'page', 'per_page', 'limit', 'with_total'].includes(name),
  );
  add(parent, 'list', 'lists the newest, a page at a time', '', fields)
    .addOption(new Option('--page <number>', 'which page').default('1'))
    .addOption(new Option('--limit <number>', 'rows a page').default(DEFAULT_ROWS))
    .addHelpText('after', examples(example))
    .action(
      act(async (client, given) => {
        const query = new URLSearchParams(queryOf(fields, given));
        query.set('page', String(given.page));
        query.set('per_page', String(given.limit));
        return client.json('GET', `${path}?${query}`);
      }, columns),
    );
}

function queryOf(fields: readonly Field[], given: Given): string {
  const values = Object.entries(valuesOf(fields, given)).map(([name, value]): [string, string] => [
    name,
    String(value),
  ]);
  return values.length === 0 ? '' : `?${new URLSearchParams(values)}`;
}

/** By its id, or by its code. */
async function findLink(client: ApiClient, name: string): Promise<Row> {
  if (/^\d+$/.test(name)) return (await client.json('GET', `/urls/${name}`)) as Row;
  const query = new URLSearchParams({ short_code: name });
  const found = (await client.json('GET', `/urls?${query}`)) as Row[];
  // A server that does not know the parameter would show all of them.
  const link = found.find((one) => one.short_code === name);
  if (link === undefined) throw new RefusedError(404, 'Short URL not found');
  return link;
}

/** Does all that can be done; @throws the last refusal afterwards. */
async function removeAll(
  names: readonly string[],
  remove: (name: string) => Promise<unknown>,
): Promise<void> {
  const progress = startProgress('deleted', names.length);
  let refused: RefusedError | undefined;
  for (const [index, name] of names.entries()) {
    try {
      await remove(name);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      refused = new RefusedError(error.status, `${name}: ${error.message}`);
    }
    progress.update(index + 1);
  }
  progress.stop();
  if (refused !== undefined) throw refused;
  print(`${names.length} deleted`);
}

function examples(...lines: string[]): string {
  return `\nexamples:\n${lines.map((line) => `  switchyard ${line}`).join('\n')}\n${SERVER}`;
}
