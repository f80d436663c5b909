import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { makeFolder } from '../machine/folders.js';
import { eventually } from '../machine/wait.js';
import { freePort, Program } from '../server/program.js';
import { classPath } from './jars.js';

/** On a machine that is busy with other things a Java program takes its time. */
const START_MS = 180_000;

/** Of this cluster: 16 bytes in Base64, any of them. */
const CLUSTER_ID = 'c3dpdGNoeWFyZC10ZXN0MQ';

/** One Kafka broker with its own controller (KRaft), on loopback; every topic has one replica. */
export class KafkaBroker {
  /** As KAFKA_BROKERS has it. */
  readonly address: string;
  readonly #port: number;
  readonly #folder: string;
  #program: Program | undefined;

  private constructor(port: number, folder: string) {
    this.#port = port;
    this.#folder = folder;
    this.address = `127.0.0.1:${port}`;
  }

  /** @param settings Of server.properties, besides those that it needs. */
  static async start(settings: Readonly<Record<string, string>> = {}): Promise<KafkaBroker> {
    const [port, controller] = [await freePort(), await freePort()];
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
      listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
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
      ...settings,
    };
    const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(path.join(folder, 'server.properties'), lines.join(''));
    writeFileSync(
      path.join(folder, 'log4j.properties'),
      'log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n' +
        'log4j.appender.out.layout=org.apache.log4j.PatternLayout\nlog4j.appender.out.layout.ConversionPattern=%p %m%n\n',
    );
    const broker = new KafkaBroker(port, folder);
    await broker.restart();
    return broker;
  }

  /** Starts it again, on the same port and data. */
  async restart(): Promise<void> {
    this.begin();
    await this.listens();
  }

  /** Starts it, if a test has killed it and failed. */
  async ensureRunning(): Promise<void> {
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
