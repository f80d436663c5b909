import {
  addPartitionsToTxnV3,
  createTopicsV7,
  describeConfigsV4,
  endTxnV3,
  fetchV12,
  fetchV13,
  findCoordinatorV4,
  initProducerIdV3,
  initProducerIdV4,
  listOffsetsV5,
  listOffsetsV6,
  listOffsetsV7,
  metadataV9,
  metadataV10,
  metadataV11,
  metadataV12,
  produceV7,
  produceV8,
  produceV9,
  produceV10,
  produceV11,
} from '@platformatic/kafka';

/**
 * The requests that are made, each in the versions that it may be made in, the newest first.
 *
 * - AddPartitionsToTxn from version 4 on is for brokers among themselves, and needs their rights.
 * - InitProducerId 6, Produce 12 and EndTxn 5 begin another protocol of transactions.
 */
export const requests = {
  metadata: [metadataV12.api, metadataV11.api, metadataV10.api, metadataV9.api],
  findCoordinator: [findCoordinatorV4.api],
  initProducerId: [initProducerIdV4.api, initProducerIdV3.api],
  addPartitionsToTxn: [addPartitionsToTxnV3.api],
  produce: [produceV11.api, produceV10.api, produceV9.api, produceV8.api, produceV7.api],
  endTxn: [endTxnV3.api],
  fetch: [fetchV13.api, fetchV12.api],
  listOffsets: [listOffsetsV7.api, listOffsetsV6.api, listOffsetsV5.api],
  createTopics: [createTopicsV7.api],
  describeConfigs: [describeConfigsV4.api],
} as const;

export type RequestName = keyof typeof requests;

/** What a broker says of itself: of each kind of request, the versions from and to. */
export type Versions = ReadonlyMap<number, { readonly minVersion: number; readonly maxVersion: number }>;

/** The newest form that both sides know. @throws when there is none. */
export function formOf<Name extends RequestName>(
  name: Name,
  versions: Versions,
): (typeof requests)[Name][number] {
  const form = requests[name].find(({ key, version }) => {
    const known = versions.get(key);
    return known !== undefined && version >= known.minVersion && version <= known.maxVersion;
  });
  if (form === undefined)
    throw new Error(`the broker does not know ${name} in a version that this server knows`);
  return form;
}
