import { createRequire } from 'node:module';

/** The system calls that Node lacks. Each `number` is an errno, 0 for success. */
export interface NativeMemory {
  /** Allocates a file's space on the disk: no store to it can then find the disk full. */
  allocate(descriptor: number, bytes: number): Promise<number>;
  /**
   * Reserves addresses for a mapping, reused again and again and never given back: stray stores always meet
   * memory.
   */
  reserve(bytes: number): bigint | number;
  /** Maps a file over whatever is mapped at an address. */
  mapFile(address: bigint, bytes: number, descriptor: number): number;
  /** Maps anonymous memory there. */
  mapNothing(address: bigint, bytes: number): number;
  /**
   * Makes pages writable ahead of time; nothing in them changes, whoever stores to them meanwhile.
   * @returns whether the system can do that.
   */
  populate(address: bigint, bytes: number): Promise<boolean>;
  /** Does the same by storing zeros to every page: only for memory that nobody stores to yet. */
  clear(address: bigint, bytes: number): Promise<void>;
  view(address: bigint, bytes: number): ArrayBuffer;
}

type Koffi = typeof import('koffi');

const READ_WRITE = 3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_FAILED = 2n ** 64n - 1n;
const MADV_POPULATE_WRITE = 23;
const EINTR = 4;
const PAGE_WORDS = 1024;
/** Pages to clear at a time. */
const SLICE_WORDS = 256 * PAGE_WORDS;

const isMac = process.platform === 'darwin';
const MAP_ANONYMOUS = isMac ? 0x1000 : 0x20;
const MAP_NORESERVE = isMac ? 0x40 : 0x4000;

/** @returns why it is unavailable, in one line. */
export function loadKoffi(): Koffi | string {
  if (process.platform !== 'linux' && !isMac) return `mapped segments are not served on ${process.platform}`;
  try {
    return createRequire(import.meta.url)('koffi') as Koffi;
  } catch (error) {
    return `koffi does not load: ${(error as Error).message.split('\n')[0]}`;
  }
}

/** The memory at an address, for a thread that only stores to it. */
export function viewMemory(koffi: Koffi): (address: bigint, bytes: number) => ArrayBuffer {
  return (address, bytes) => koffi.view(address, bytes);
}

export function openNative(koffi: Koffi): NativeMemory {
  const library = koffi.load(null);
  const mmap = library.func('void *mmap(void *, size_t, int, int, int, int64_t)');
  const map = (address: bigint | null, bytes: number, flags: number, descriptor: number): bigint | number => {
    const mapped = mmap(address, bytes, READ_WRITE, flags, descriptor, 0) as bigint;
    return mapped === MAP_FAILED ? koffi.errno() : mapped;
  };
  const fixed = (address: bigint, bytes: number, flags: number, descriptor: number): number => {
    const mapped = map(address, bytes, flags | MAP_FIXED, descriptor);
    return typeof mapped === 'number' ? mapped : 0;
  };
  const nothing = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const madvise = isMac ? undefined : library.func('int madvise(void *, size_t, int)');
  const view = viewMemory(koffi);
  return {
    allocate: isMac ? macAllocate(koffi) : linuxAllocate(koffi),
    reserve: (bytes) => map(null, bytes, nothing, -1),
    mapFile: (address, bytes, descriptor) => fixed(address, bytes, MAP_SHARED, descriptor),
    mapNothing: (address, bytes) => fixed(address, bytes, nothing, -1),
    // Linux 5.14 and newer do it in a thread, without blocking anything.
    populate: async (address, bytes) =>
      madvise !== undefined && (await callAsync(madvise, address, bytes, MADV_POPULATE_WRITE)) === 0,
    clear: async (address, bytes) => {
      const words = new Uint32Array(view(address, bytes));
      for (let start = 0; start < words.length; start += SLICE_WORDS) {
        for (let word = start; word < Math.min(words.length, start + SLICE_WORDS); word += PAGE_WORDS)
          words[word] = 0;
        await new Promise(setImmediate);
      }
    },
    view,
  };
}

type NativeFunction = ReturnType<ReturnType<Koffi['load']>['func']>;

function callAsync(call: NativeFunction, ...args: unknown[]): Promise<number> {
  return new Promise((resolve, reject) => {
    call.async(...args, (error: Error | null, result: number) =>
      error === null ? resolve(result) : reject(error),
    );
  });
}

function linuxAllocate(koffi: Koffi): NativeMemory['allocate'] {
  const allocate = koffi.load(null).func('int posix_fallocate(int, int64_t, int64_t)');
  return async (descriptor, bytes) => {
    for (;;) {
      const error = await callAsync(allocate, descriptor, 0, bytes);
      if (error !== EINTR) return error;
    }
  };
}

const F_PREALLOCATE = 42;
const F_ALLOCATEALL = 4;
const F_PEOFPOSMODE = 3;

/** macOS has no posix_fallocate: fcntl requests the space, then the file's size is set. */
function macAllocate(koffi: Koffi): NativeMemory['allocate'] {
  const library = koffi.load(null);
  koffi.struct('fstore_t', {
    fst_flags: 'uint32_t',
    fst_posmode: 'int',
    fst_offset: 'int64_t',
    fst_length: 'int64_t',
    fst_bytesalloc: 'int64_t',
  });
  const fcntl = library.func('int fcntl(int, int, ...)');
  const ftruncate = library.func('int ftruncate(int, int64_t)');
  return async (descriptor, bytes) => {
    const wish = {
      fst_flags: F_ALLOCATEALL,
      fst_posmode: F_PEOFPOSMODE,
      fst_offset: 0,
      fst_length: bytes,
      fst_bytesalloc: 0,
    };
    if (fcntl(descriptor, F_PREALLOCATE, 'fstore_t *', wish) === -1) return koffi.errno();
    return ftruncate(descriptor, bytes) === -1 ? koffi.errno() : 0;
  };
}
