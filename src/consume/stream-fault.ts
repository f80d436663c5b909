/** What ends `switchyard consume`: to go on would skip clicks in silence. `message` is one line for the operator. */
export class StreamFault extends Error {
  override readonly name = 'StreamFault';
}
