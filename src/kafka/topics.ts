import { positionsTopic } from '../stream/journal-progress.js';
import type { KafkaCluster } from './cluster.js';
import { describeKafkaError, kafkaCodes } from './errors.js';

/** Of a topic that the server makes; its replicas are as many as the cluster's default. */
const CLICK_PARTITIONS = 6;
const CREATE_MS = 10_000;
const TOPIC = 2 as const;
const DEFAULT = -1;

interface Wanted {
  readonly name: string;
  readonly partitions: number;
  readonly configs: readonly { readonly name: string; readonly value: string }[];
  readonly mayBe: (policies: readonly string[]) => boolean;
  readonly must: string;
}

/** Makes the topics that are missing. @throws when that is not allowed, or one would lose what it is there for. */
export async function ensureTopics(cluster: KafkaCluster, clicks: string): Promise<void> {
  await ensureTopic(cluster, {
    name: clicks,
    partitions: CLICK_PARTITIONS,
    configs: [],
    mayBe: (policies) => !policies.includes('compact'),
    must: 'must not be compacted: of all clicks of a link only the last would stay',
  });
  await ensureTopic(cluster, {
    name: positionsTopic(clicks),
    partitions: 1,
    configs: [
      { name: 'cleanup.policy', value: 'compact' },
      // Only closed segments are compacted, and each start of a server reads the topic.
      { name: 'segment.ms', value: '3600000' },
      { name: 'segment.bytes', value: '16777216' },
      { name: 'min.cleanable.dirty.ratio', value: '0.1' },
    ],
    mayBe: (policies) => policies.includes('compact') && !policies.includes('delete'),
    must: 'must have cleanup.policy=compact: a position that is deleted has its clicks sent twice',
  });
}

async function ensureTopic(cluster: KafkaCluster, wanted: Wanted): Promise<void> {
  const { name, must, mayBe } = wanted;
  try {
    await cluster.topic(name);
  } catch (error) {
    if (!kafkaCodes(error).has('UNKNOWN_TOPIC_OR_PARTITION')) throw error;
    await create(cluster, wanted);
  }
  const policies = await cleanupPolicies(cluster, name);
  if (policies !== undefined && !mayBe(policies)) throw new Error(`the topic ${name} ${must}`);
}

async function create(cluster: KafkaCluster, { name, partitions, configs }: Wanted): Promise<void> {
  const topic = {
    name,
    numPartitions: partitions,
    replicationFactor: DEFAULT,
    assignments: [],
    configs: [...configs],
  };
  try {
    await cluster.request(await controller(cluster), 'createTopics', [topic], CREATE_MS, false);
  } catch (error) {
    // Another server may be faster.
    if (!kafkaCodes(error).has('TOPIC_ALREADY_EXISTS'))
      throw new Error(`the topic ${name} is not there and can't be made: ${describeKafkaError(error)}`);
  }
}

async function controller(cluster: KafkaCluster): Promise<{ host: string; port: number } | undefined> {
  const { brokers, controllerId } = await cluster.request(undefined, 'metadata', [], false, false);
  const found = brokers.find(({ nodeId }) => nodeId === controllerId);
  return found === undefined ? undefined : { host: found.host, port: found.port };
}

/** @returns `undefined` if this user may not know. */
async function cleanupPolicies(cluster: KafkaCluster, name: string): Promise<readonly string[] | undefined> {
  try {
    const resources = [{ resourceType: TOPIC, resourceName: name, configurationKeys: ['cleanup.policy'] }];
    const { results } = await cluster.request(undefined, 'describeConfigs', resources, false, false);
    const value = results[0]?.configs.find((config) => config.name === 'cleanup.policy')?.value;
    return value?.split(',').map((policy) => policy.trim());
  } catch (error) {
    if (kafkaCodes(error).size > 0) return undefined;
    throw error;
  }
}
