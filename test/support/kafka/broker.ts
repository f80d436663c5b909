import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { makeFolder } from '../machine/folders.js';
import { toolPath } from '../machine/tools.js';
import { eventually } from '../machine/wait.js';
import { freePort, Program } from '../server/program.js';
import { classPath } from './jars.js';

/** On a machine that is busy with other things a Java program takes its time. */
const START_MS = 180_000;

/** Of this cluster: 16 bytes in Base64, any of them. */
const CLUSTER_ID = 'c3dpdGNoeWFyZC10ZXN0MQ';

/** Who may use the listener with TLS and SASL. */
export const USER = { KAFKA_USERNAME: 'visitor', KAFKA_PASSWORD: 'of-this-test-only' } as const;

/** One Kafka broker with its own controller (KRaft), on loopback; every topic has one replica. */
export class KafkaBroker {
  /** As KAFKA_BROKERS has it. */
  readonly address: string;
  /** The same with TLS and SASL (PLAIN). */
  readonly secureAddress: string;
  /** The file of its certificate, which is its own authority. */
  readonly certificate: string;
  readonly #port: number;
  readonly #folder: string;
  #program: Program | undefined;

  private constructor(port: number, securePort: number, folder: string) {
    this.#port = port;
    this.#folder = folder;
    this.address = `127.0.0.1:${port}`;
    this.secureAddress = `127.0.0.1:${securePort}`;
    this.certificate = path.join(folder, 'certificate.pem');
  }

  /** @param settings Of server.properties, besides those that it needs. */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<KafkaBroker> {
    const [port, secure, controller] = [await freePort(), await freePort(), await freePort()];
    const folder = makeFolder('kafka');
    const data = path.join(folder, 'data');
    mkdirSync(data);
    // What `kafka-storage.sh format` would write, without starting a Java program for it.
    writeFileSync(
      path.join(data, 'meta.properties'),
      `version=1\ncluster.id=${CLUSTER_ID}\nnode.id=1\ndirectory.id=${CLUSTER_ID}\n`,
    );
    const properties = {
      'process.roles': 'broker,controller',
      'node.id': '1',
      'controller.quorum.voters': `1@127.0.0.1:${controller}`,
      'controller.listener.names': 'CONTROLLER',
      listeners: `PLAINTEXT://127.0.0.1:${port},SECURE://127.0.0.1:${secure},CONTROLLER://127.0.0.1:${controller}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT',
      'inter.broker.listener.name': 'PLAINTEXT',
      'listener.name.secure.sasl.enabled.mechanisms': 'PLAIN',
      'listener.name.secure.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required user_${USER.KAFKA_USERNAME}="${USER.KAFKA_PASSWORD}";`,
      'listener.name.secure.ssl.keystore.type': 'PEM',
      'listener.name.secure.ssl.keystore.location': makeCertificate(folder),
      'log.dirs': data,
      'default.replication.factor': '1',
      'min.insync.replicas': '1',
      'offsets.topic.replication.factor': '1',
      'offsets.topic.num.partitions': '1',
      'transaction.state.log.replication.factor': '1',
      'transaction.state.log.min.isr': '1',
      'transaction.state.log.num.partitions': '1',
      'group.initial.rebalance.delay.ms': '0',
      'num.network.threads': '1',
      'num.io.threads': '2',
      'background.threads': '1',
      'log.cleaner.dedupe.buffer.size': '4194304',
      'controlled.shutdown.enable': 'false',
      // A killed broker may register again when its last session is over.
      'broker.session.timeout.ms': '2000',
      'broker.heartbeat.interval.ms': '400',
      ...settings,
    };
    const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(path.join(folder, 'server.properties'), lines.join(''));
    writeFileSync(
      path.join(folder, 'log4j.properties'),
      'log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n' +
        'log4j.appender.out.layout=org.apache.log4j.PatternLayout\nlog4j.appender.out.layout.ConversionPattern=%p %m%n\n',
    );
    const broker = new KafkaBroker(port, secure, folder);
    await broker.restart();
    return broker;
  }

  /** Starts it again, on the same port and data. */
  async restart(): Promise<void> {
    this.begin();
    await this.listens();
  }

  /** Starts it, or lets it go on, if a test has failed behind its kill. */
  async ensureRunning(): Promise<void> {
    this.#program?.signal('SIGCONT');
    if (this.#program === undefined) await this.restart();
  }

  /** Starts it again, and doesn't wait for it. */
  begin(): void {
    if (this.#program !== undefined) throw new Error('the broker runs');
    // Few things are done here; a compiler that thinks long would take longer than they do.
    const java = ['-Xms64m', '-Xmx256m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xshare:auto'];
    const log4j = `-Dlog4j.configuration=file:${path.join(this.#folder, 'log4j.properties')}`;
    this.#program = new Program(
      'java',
      [...java, log4j, '-cp', classPath, 'kafka.Kafka', path.join(this.#folder, 'server.properties')],
      { cwd: this.#folder },
    );
  }

  /** Waits until it takes connections: a broker opens its port when all else is done. */
  async listens(): Promise<void> {
    const program = this.#program;
    if (program === undefined) throw new Error('the broker does not run');
    let ended: unknown;
    void program.exit.then((code) => {
      ended = code;
    });
    await eventually(
      async () => {
        if (ended !== undefined) throw new Error(`the broker ended with ${ended}: ${program.output}`);
        return isOpen(this.#port);
      },
      START_MS,
      () => `the broker's port: ${program.output}`,
    );
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.#program?.stop('SIGKILL');
    this.#program = undefined;
  }

  /** Freezes it, or lets it go on: it neither answers nor closes connections. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#program?.signal(signal);
  }
}

/** @returns the file with the key and the certificate, as a broker wants them. */
function makeCertificate(folder: string): string {
  const [key, certificate, both] = ['key.pem', 'certificate.pem', 'both.pem'].map((name) =>
    path.join(folder, name),
  ) as [string, string, string];
  const made = spawnSync(toolPath('openssl'), [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=kafka'],
    ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', certificate],
  ]);
  if (made.status !== 0) throw new Error(`openssl ended with ${made.status}: ${made.stderr}`);
  writeFileSync(both, readFileSync(key, 'utf8') + readFileSync(certificate, 'utf8'), { mode: 0o600 });
  return both;
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
