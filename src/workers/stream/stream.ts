import { JournalFollower } from '../../journal/follower.js';
import { comparePositions } from '../../journal/position.js';
import type { JournalPiece } from '../../journal/segment-reader.js';
import { KafkaCluster } from '../../kafka/cluster.js';
import { describeKafkaError } from '../../kafka/errors.js';
import { kafkaOptions } from '../../kafka/options.js';
import { ProgressLog } from '../../kafka/progress-log.js';
import { ensureTopics } from '../../kafka/topics.js';
import { TransactionalProducer } from '../../kafka/transactions.js';
import type { StreamJob, StreamOutcome } from '../../messages/stream.js';
import { type JournalProgress, positionsTopic } from '../../stream/journal-progress.js';
import { progressRecord, recordsOf } from './click-records.js';
import type { StreamThread } from './thread.js';

/** A journal that is being streamed. */
interface Session {
  readonly follower: JournalFollower;
  readonly producer: TransactionalProducer;
  /** As it is in Kafka, or further: pieces without clicks are passed without a record. */
  progress: JournalProgress;
}

/**
 * Sends journals to Kafka. A transaction has the clicks of a piece and the position behind them. After any failure all
 * connections are cut, and every journal begins anew: its earlier producer is fenced, which ends its transaction one way
 * or the other, and then its position is read. So nothing has to be known about what a failed request has done.
 */
export class ClickStream {
  readonly #thread: StreamThread;
  readonly #topic: string;
  readonly #cluster: KafkaCluster;
  readonly #progressLog: ProgressLog;
  readonly #sessions = new Map<string, Session>();
  #hasTopics = false;
  /** Sessions of before a failure must not go on. */
  #generation = 0;

  constructor(thread: StreamThread) {
    this.#thread = thread;
    this.#topic = thread.config.KAFKA_TOPIC;
    this.#cluster = new KafkaCluster(kafkaOptions(thread.config));
    this.#progressLog = new ProgressLog(this.#cluster, positionsTopic(this.#topic));
  }

  /** Whether Kafka answers and has the topics. @returns why not. */
  check(): Promise<string | undefined> {
    return this.#guarded(
      async () => {
        if (this.#hasTopics) await this.#cluster.request(undefined, 'metadata', [this.#topic], false, false);
        else await this.#prepare();
        return undefined;
      },
      (failure) => failure,
    );
  }

  /** Sends the next piece of a journal. */
  step(job: StreamJob): Promise<StreamOutcome> {
    return this.#guarded(
      () => this.#step(job),
      (failure) => ({
        progress: undefined,
        pendingBytes: undefined,
        hasMore: true,
        isAtEnd: false,
        failure,
      }),
    );
  }

  /** The journal is gone. */
  forget(journalId: string): void {
    this.#sessions.delete(journalId);
  }

  async #guarded<T>(work: () => Promise<T>, failed: (failure: string) => T): Promise<T> {
    const generation = this.#generation;
    try {
      return await work();
    } catch (error) {
      this.#thread.counters.add('streamFailures');
      this.#thread.log.debug({ error }, 'a step of the stream failed');
      // Others that ran beside this one fail with the connections that are cut here, and have no others to cut.
      if (generation === this.#generation) {
        this.#generation += 1;
        this.#sessions.clear();
        this.#hasTopics = false;
        this.#cluster.reset();
      }
      return failed(describeKafkaError(error));
    }
  }

  async #prepare(): Promise<void> {
    await ensureTopics(this.#cluster, this.#topic);
    this.#hasTopics = true;
  }

  async #step(job: StreamJob): Promise<StreamOutcome> {
    const { config, counters } = this.#thread;
    const session = await this.#session(job);
    const { follower, progress } = session;
    const piece = follower.read(progress, config.CLICK_STREAM_BATCH, job.written);
    const lost = lostBetween(follower, progress, piece);
    if (piece === undefined && lost === undefined) {
      // Beyond a segment's last click there may be a new segment without any.
      const { written } = job;
      if (written !== undefined && comparePositions(written, progress) > 0)
        session.progress = { ...written, clicks: progress.clicks };
      return this.#outcome(session, job, true);
    }
    const before = progress.clicks + (lost?.clicks ?? 0);
    const clicks = piece?.clicks ?? [];
    const after = {
      ...(piece?.to ?? { segment: (lost?.segment ?? 0) + 1, offset: 0 }),
      clicks: before + clicks.length + (piece?.unreadable ?? 0),
    };
    if (after.clicks > progress.clicks) {
      const records = piece === undefined ? [] : recordsOf(this.#topic, job.journalId, piece, before);
      await session.producer.commit([...records, progressRecord(this.#topic, job.journalId, after)]);
      counters.add('streamTransactions');
      counters.add('streamRecords', clicks.length);
      this.#countLost(job, (lost?.clicks ?? 0) + (piece?.unreadable ?? 0));
    }
    session.progress = after;
    if (session.producer.isWornOut) this.#sessions.delete(job.journalId);
    return this.#outcome(session, job, false);
  }

  #countLost({ journalId }: StreamJob, clicks: number): void {
    if (clicks === 0) return;
    this.#thread.counters.add('streamLost', clicks);
    this.#thread.log.error(
      { journal: journalId, clicks },
      `${clicks} clicks are not in Kafka, nor ever will be: their segments were removed before, or they can’t be read`,
    );
  }

  #outcome({ follower, progress }: Session, { written }: StreamJob, isAtEnd: boolean): StreamOutcome {
    const pendingBytes = follower.pendingBytes(progress, written);
    return { progress, pendingBytes, hasMore: !isAtEnd && pendingBytes > 0, isAtEnd };
  }

  async #session(job: StreamJob): Promise<Session> {
    const { journalId, folder } = job;
    const known = this.#sessions.get(journalId);
    if (known !== undefined) return known;
    const generation = this.#generation;
    if (!this.#hasTopics) await this.#prepare();
    const producer = await TransactionalProducer.begin(this.#cluster, `switchyard-${journalId}`);
    const follower = new JournalFollower(folder, journalId);
    const progress = (await this.#progressLog.read(journalId)) ?? beginning(follower, job);
    const session = { follower, producer, progress };
    if (generation !== this.#generation) throw new Error('the connections to Kafka were cut');
    this.#sessions.set(journalId, session);
    return session;
  }
}

/** Where a journal begins that Kafka has nothing of. Clicks that went before there was a stream are not missing. */
function beginning(follower: JournalFollower, { isOwn }: StreamJob): JournalProgress {
  const { removed } = follower;
  const isMissing = isOwn || removed?.isStreamed === true;
  return { segment: 0, offset: 0, clicks: isMissing ? 0 : (removed?.clicks ?? 0) };
}

/** The clicks of segments that were removed before they were read. */
function lostBetween(
  follower: JournalFollower,
  progress: JournalProgress,
  piece: JournalPiece | undefined,
): { readonly segment: number; readonly clicks: number } | undefined {
  // Within a segment nothing goes missing.
  if (piece !== undefined && piece.to.segment === progress.segment) return undefined;
  const { removed } = follower;
  if (removed === undefined || removed.segment < progress.segment) return undefined;
  if (piece !== undefined && piece.to.segment <= removed.segment) return undefined;
  const clicks = removed.clicks - progress.clicks;
  return clicks > 0 ? { segment: removed.segment, clicks } : undefined;
}
