import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from '@platformatic/kafka';
import type { Config } from '../config.js';
import type { HostAndPort } from '../setting-values.js';

export interface KafkaOptions {
  readonly brokers: readonly HostAndPort[];
  /** Deadline of a connection and of a request. */
  readonly requestMs: number;
  readonly connection: ConnectionOptions;
}

const mechanisms = {
  plain: 'PLAIN',
  'scram-sha-256': 'SCRAM-SHA-256',
  'scram-sha-512': 'SCRAM-SHA-512',
} as const;

/** How the settings say that Kafka is reached. @throws when the file of certificates can't be read any more. */
export function kafkaOptions(config: Config): KafkaOptions {
  const { KAFKA_BROKERS: brokers = [], KAFKA_REQUEST_MS: requestMs, KAFKA_SASL: sasl } = config;
  const { KAFKA_CA_FILE: caFile, KAFKA_USERNAME: username, KAFKA_PASSWORD: password } = config;
  return {
    brokers,
    requestMs,
    connection: {
      connectTimeout: requestMs,
      requestTimeout: requestMs,
      ...(config.KAFKA_TLS === 'on'
        ? { tls: { rejectUnauthorized: true, ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }) } }
        : {}),
      ...(sasl === 'off' || username === undefined || password === undefined
        ? {}
        : { sasl: { mechanism: mechanisms[sasl], username, password } }),
    },
  };
}

/** An address has no name to be asked for. */
export function tlsServerName(host: string): { readonly tlsServerName?: true } {
  return isIP(host) === 0 ? { tlsServerName: true } : {};
}
