/** The settings of the stream of clicks, a part of `settings` in config.ts. */
import { z } from 'zod';
import { brokers, canRead, choice, integer } from './setting-values.js';

export const kafkaSettings = {
  CLICK_STREAM: choice(['off', 'kafka'], 'off').describe(
    'Where clicks go besides PostgreSQL. `kafka`: each journalled click becomes one record of KAFKA_TOPIC, exactly once',
  ),
  CLICK_STREAM_BATCH: integer(20_000, 1, 1_000_000).describe('Most clicks in one transaction of Kafka'),
  CLICK_INGEST: choice(['server', 'consume'], 'server').describe(
    'By which way clicks come into PostgreSQL: from each server’s journals, or from Kafka by `switchyard consume`. A database has one way; `switchyard database ingest` changes it',
  ),
  CONSUME_PORT: integer(0, 0, 65_535).describe(
    'Port on which `switchyard consume` serves `/metrics` and `/health`; 0: none',
  ),
  KAFKA_BROKERS: brokers().describe('Kafka brokers to begin with: `host:port`, separated by commas'),
  KAFKA_TOPIC: z
    .string()
    .regex(/^[\w.-]{1,200}$/, 'must be 1 to 200 letters, digits, dots, underscores or hyphens')
    .default('switchyard.clicks')
    .describe(
      'Topic of the clicks; `<topic>.positions` has how far each journal is in it. Both are made if they are missing',
    ),
  KAFKA_REQUEST_MS: integer(10_000, 100, 120_000).describe(
    'Deadline for a connection to Kafka, and for each request to it',
  ),
  KAFKA_TLS: choice(['off', 'on'], 'off').describe('Whether Kafka is reached by TLS'),
  KAFKA_CA_FILE: z
    .string()
    .optional()
    .refine((file) => file === undefined || canRead(file), { message: 'must be a file that can be read' })
    .describe('Certificates in PEM that the brokers’ must be signed by; without it, those that Node knows'),
  KAFKA_SASL: choice(['off', 'plain', 'scram-sha-256', 'scram-sha-512'], 'off').describe(
    'How the server authenticates itself to Kafka',
  ),
  KAFKA_USERNAME: z.string().optional().describe('User of Kafka, with KAFKA_SASL'),
  KAFKA_PASSWORD: z.string().optional().describe('Password of that user'),
  KAFKA_PASSWORD_FILE: z.string().optional().describe('Instead of KAFKA_PASSWORD: file that holds it'),
} as const;

type KafkaConfig = z.output<z.ZodObject<typeof kafkaSettings>>;

/** What a choice needs besides itself. @returns the variable that is missing. */
export function missingKafkaSetting(config: Partial<KafkaConfig>): keyof KafkaConfig | undefined {
  if (config.CLICK_STREAM === 'kafka' && config.KAFKA_BROKERS === undefined) return 'KAFKA_BROKERS';
  if (config.KAFKA_SASL === undefined || config.KAFKA_SASL === 'off') return undefined;
  if (config.KAFKA_USERNAME === undefined) return 'KAFKA_USERNAME';
  return config.KAFKA_PASSWORD === undefined ? 'KAFKA_PASSWORD' : undefined;
}
