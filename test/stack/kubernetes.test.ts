import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { routes } from '../../src/api/registry.js';
import { describeSettings, parseConfig } from '../../src/config.js';
import { makeFolder } from '../support/machine/folders.js';
import { run } from '../support/server/program.js';
import { environmentOf, readCompose, root } from '../support/stack/compose.js';

const folder = path.join(root, 'ops/kubernetes');
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.yml'))
  .map((name) => path.join(folder, name));

type Labels = Readonly<Record<string, string>>;

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

interface Container {
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly startupProbe?: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly lifecycle: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
  readonly resources: { readonly limits: { readonly cpu: string; readonly memory: string } };
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

interface Pod {
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly terminationGracePeriodSeconds: number;
  readonly automountServiceAccountToken: boolean;
  readonly enableServiceLinks: boolean;
  readonly containers: readonly [Container];
  readonly volumes: readonly { readonly name: string; readonly secret?: { readonly secretName: string } }[];
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Labels };
  readonly data?: Readonly<Record<string, string>>;
  readonly stringData?: Readonly<Record<string, string>>;
  readonly spec: {
    readonly replicas: number;
    readonly serviceName?: string;
    readonly selector: { readonly matchLabels: Labels } & Labels;
    readonly podSelector: { readonly matchLabels: Labels };
    readonly ports: readonly { readonly port: number; readonly targetPort: string }[];
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: Pod };
    readonly volumeClaimTemplates?: readonly [{ readonly metadata: { readonly name: string } }];
    readonly rules: readonly [
      { readonly http: { readonly paths: readonly [{ readonly backend: Backend }] } },
    ];
  };
}

interface Backend {
  readonly service: { readonly name: string; readonly port: { readonly name: string } };
}

const manifests = files.flatMap((file) =>
  parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS() as Manifest),
);
const find = (kind: string, name: string): Manifest => {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found;
};
const podOf = (one: Manifest): Pod => one.spec.template.spec;
const server = find('StatefulSet', 'switchyard');
const nginx = find('Deployment', 'switchyard-nginx');
const settings = find('ConfigMap', 'switchyard').data ?? {};
const [container] = podOf(server).containers;

describe('the manifests and the server agree', () => {
  it('on every setting', () => {
    const known = new Set(describeSettings().map(({ name }) => name));
    expect(Object.keys(settings).filter((name) => !known.has(name))).toEqual([]);
    const inFiles = Object.keys(settings).filter((name) => name.endsWith('_FILE'));
    const secrets = find('Secret', 'switchyard').stringData ?? {};
    const mount = container.volumeMounts.find(({ name }) => name === 'secrets')?.mountPath;
    expect(inFiles.map((name) => settings[name]).sort()).toEqual(
      Object.keys(secrets)
        .map((name) => `${mount}/${name}`)
        .sort(),
    );
    const there = Object.fromEntries(Object.entries(settings).filter(([name]) => !inFiles.includes(name)));
    expect(parseConfig(there)).toMatchObject({ PORT: 5000, API_AUTH: 'on', SEED_ON_BOOT: false });
  });

  it('on ports, and on probes that its routes answer', () => {
    expect(container.ports).toEqual([{ name: 'http', containerPort: Number(settings.PORT) }]);
    const paths = new Set(routes.filter(({ method }) => method === 'GET').map((route) => route.path));
    for (const { httpGet } of [
      container.startupProbe,
      container.livenessProbe,
      container.readinessProbe,
    ] as Probe[]) {
      expect(httpGet.port).toBe('http');
      expect(paths).toContain(httpGet.path);
    }
    for (const name of ['switchyard', 'switchyard-pods']) {
      const { ports } = find('Service', name).spec;
      expect(ports).toMatchObject([{ port: Number(settings.PORT), targetPort: 'http' }]);
    }
    expect(server.spec.serviceName).toBe('switchyard-pods');
  });

  it('on its user and folders: the image’s', () => {
    const dockerfile = readFileSync(path.join(root, 'Dockerfile'), 'utf8');
    // Node's images make it with this number.
    expect(dockerfile).toMatch(/^USER node$/m);
    expect(podOf(server).securityContext).toMatchObject({ runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000 });
    const [claim] = server.spec.volumeClaimTemplates ?? [];
    const data = container.volumeMounts.find(({ name }) => name === claim?.metadata.name);
    expect(data?.mountPath).toBe(settings.DATA_DIR);
    expect(dockerfile).toContain(`VOLUME ${settings.DATA_DIR}`);
    expect(dockerfile).toContain(`ENV CSV_DIR=${settings.CSV_DIR}`);
  });

  it('on the time that a stop takes', () => {
    const drain = Number(describeSettings().find(({ name }) => name === 'DRAIN_DEADLINE_MS')?.fallback) / 1e3;
    const { terminationGracePeriodSeconds } = podOf(server);
    const linger = Number(settings.DRAIN_LINGER_MS) / 1e3;
    expect(terminationGracePeriodSeconds).toBeGreaterThan(
      container.lifecycle.preStop.sleep.seconds + drain + linger,
    );
  });

  it('on the connections that PostgreSQL has', () => {
    expect(server.spec.replicas * Number(settings.DATABASE_POOL_MAX)).toBeLessThanOrEqual(97);
  });
});

describe('the manifests and the compose stack agree', () => {
  it('on the limits and the rights of containers', () => {
    const { app, nginx: proxy } = readCompose().services;
    expect(container.resources.limits).toEqual({
      cpu: String(app?.cpus),
      memory: `${app?.mem_limit}`.replace('g', 'Gi'),
    });
    for (const pod of [podOf(server), podOf(nginx)]) {
      expect(pod).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
      expect(pod.securityContext).toMatchObject({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      expect(pod.containers[0].securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
    }
    for (const service of [app, proxy])
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      });
  });

  it('on Nginx: image, command and variables', () => {
    const { nginx: proxy } = readCompose().services;
    const [{ image, args, env = [], ports, readinessProbe }] = podOf(nginx).containers;
    expect([image, args]).toEqual([proxy?.image, proxy?.command]);
    const given = new Map(env.map(({ name, value }) => [name, value]));
    const theirs = environmentOf('nginx');
    expect([...given.keys()].sort()).toEqual(Object.keys(theirs).sort());
    const own = [
      'NGINX_RESOLVER',
      'NGINX_UPSTREAM',
      'NGINX_UPSTREAM_WRITES',
      'NGINX_BALANCE',
      'NGINX_TRUSTED_PROXY',
    ];
    for (const [name, value] of given)
      if (!own.includes(name)) expect([name, value]).toEqual([name, theirs[name]]);
    for (const name of ['NGINX_UPSTREAM', 'NGINX_UPSTREAM_WRITES'])
      expect(given.get(name)).toBe(
        theirs[name]?.replace('app:', 'switchyard-pods.switchyard.svc.cluster.local:'),
      );
    expect(given.get('NGINX_BALANCE')).toBe('hash $balance_key consistent;');
    expect(ports.map(({ containerPort }) => String(containerPort))).toEqual([
      given.get('NGINX_LISTEN'),
      given.get('NGINX_STATUS_LISTEN'),
    ]);
    expect(readinessProbe.httpGet).toEqual({ path: '/nginx_status', port: 'status' });
    expect(readFileSync(path.join(root, 'ops/nginx/templates/40-status.conf.template'), 'utf8')).toContain(
      `location = ${readinessProbe.httpGet.path}`,
    );
  });
});

describe('the manifests agree with each other', () => {
  it('on labels and names', () => {
    for (const one of [server, nginx]) {
      const { labels } = one.spec.template.metadata;
      expect(one.spec.selector.matchLabels).toEqual(labels);
      expect(find('PodDisruptionBudget', one.metadata.name).spec.selector.matchLabels).toEqual(labels);
      expect(find('Service', one.metadata.name).spec.selector).toEqual(labels);
    }
    const policy = find('NetworkPolicy', 'switchyard').spec.podSelector.matchLabels;
    expect(policy).toEqual(server.spec.template.metadata.labels);
    const { backend } = find('Ingress', 'switchyard').spec.rules[0].http.paths[0];
    expect(backend.service.name).toBe(nginx.metadata.name);
    const secret = podOf(server).volumes.find(({ name }) => name === 'secrets')?.secret?.secretName;
    expect(secret).toBe(find('Secret', 'switchyard').metadata.name);
  });
});

/** `kubernetes-validate`, which has the schemas with it; .ci/run installs it. */
const validator = process.env.KUBERNETES_VALIDATE;
if (validator === undefined) console.warn('skipped, KUBERNETES_VALIDATE is not set: see .ci/run');

describe.skipIf(validator === undefined)('the manifests, by the schemas of Kubernetes', () => {
  let misspelt: string;

  beforeAll(() => {
    misspelt = makeFolder('kubernetes');
  });
  afterAll(() => rmSync(misspelt, { recursive: true, force: true }));

  const validate = (version: string, those: readonly string[]): ReturnType<typeof run> =>
    run(validator ?? '', ['--strict', '--kubernetes-version', version, ...those]);

  it.each(['1.31', '1.37'])('are valid for %s, every one', async (version) => {
    const { code, output } = await validate(version, files);
    expect([code, output.match(/passed for resource/g)?.length]).toEqual([0, manifests.length]);
  });

  it('would be refused with a word misspelt', async () => {
    const file = path.join(misspelt, 'switchyard.yml');
    const text = readFileSync(path.join(folder, 'switchyard.yml'), 'utf8');
    writeFileSync(file, text.replace('readOnlyRootFilesystem', 'readOnlyRootFileSystem'));
    const { code, output } = await validate('1.37', [file]);
    expect([code, output]).toEqual([1, expect.stringContaining('readOnlyRootFileSystem')]);
  });
});
