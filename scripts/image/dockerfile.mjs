// Reads a Dockerfile into stages of instructions. It knows the forms that the rehearsal carries out and
// throws at every other, so that nothing in the Dockerfile can be left out of a rehearsal unnoticed.

/** @typedef {{ line: number, name: string, text: string, [part: string]: unknown }} Instruction */
/** @typedef {{ name: string, image: string, instructions: Instruction[] }} Stage */

export class DockerfileError extends Error {
  name = 'DockerfileError';
}

/** How each instruction is read, after its flags: from its text to its parts. */
const readers = {
  FROM: { flags: [], read: readFrom },
  ARG: { flags: [], read: readPair },
  LABEL: { flags: [], read: (text) => ({ pairs: readPairs(text) }) },
  ENV: { flags: [], read: (text) => ({ pairs: readPairs(text) }) },
  WORKDIR: { flags: [], read: (text) => ({ path: text }) },
  COPY: { flags: ['from'], read: readCopy },
  RUN: { flags: ['mount'], read: readRun },
  USER: { flags: [], read: (text) => ({ user: text }) },
  VOLUME: { flags: [], read: (text) => ({ path: text }) },
  EXPOSE: { flags: [], read: (text) => ({ port: Number(text) }) },
  STOPSIGNAL: { flags: [], read: (text) => ({ signal: text }) },
  HEALTHCHECK: { flags: ['interval', 'timeout', 'start-period', 'retries'], read: readHealthcheck },
  CMD: { flags: [], read: (text) => ({ argv: readJson(text) }) },
};

/** @returns {Stage[]} @throws DockerfileError that names the line. */
export function parseDockerfile(text) {
  const stages = [];
  for (const { line, name, rest } of logicalLines(text)) {
    try {
      const instruction = readInstruction(line, name, rest);
      if (name === 'FROM') {
        stages.push({ name: instruction.as ?? '', image: instruction.image, instructions: [] });
        continue;
      }
      const stage = stages.at(-1);
      if (stage === undefined) throw new Error('stands before the first FROM');
      if (instruction.from !== undefined && !stages.slice(0, -1).some((one) => one.name === instruction.from))
        throw new Error(`copies from "${instruction.from}", which is no stage before this one`);
      stage.instructions.push(instruction);
    } catch (error) {
      throw new DockerfileError(`Dockerfile, line ${line}: ${name} ${error.message}`);
    }
  }
  if (stages.length === 0) throw new DockerfileError('Dockerfile: there is no FROM');
  return stages;
}

/** Instructions with their continuation lines joined; comments go, also those between continued lines. */
function logicalLines(text) {
  const found = [];
  let open;
  for (const [index, raw] of text.split('\n').entries()) {
    if (/^\s*#\s*(escape|syntax|check)\s*=/.test(raw))
      throw new DockerfileError(`Dockerfile, line ${index + 1}: parser directives are not carried out`);
    if (/^\s*(#|$)/.test(raw)) continue;
    open ??= { line: index + 1, text: '' };
    const isContinued = /\\\s*$/.test(raw);
    open.text += raw.replace(/\\\s*$/, '');
    if (isContinued) continue;
    const [, name = '', rest = ''] = open.text.trim().match(/^(\S+)\s*([\s\S]*)$/) ?? [];
    found.push({ line: open.line, name: name.toUpperCase(), rest });
    open = undefined;
  }
  if (open !== undefined) throw new DockerfileError(`Dockerfile, line ${open.line}: it is never ended`);
  return found;
}

function readInstruction(line, name, rest) {
  const reader = readers[name];
  if (reader === undefined) throw new Error('is not an instruction that the rehearsal carries out');
  const flags = {};
  let text = rest;
  for (let match = flagOf(text); match !== null; match = flagOf(text)) {
    const [whole, flag, value] = match;
    if (!reader.flags.includes(flag))
      throw new Error(`has --${flag}, which the rehearsal does not carry out`);
    if (flag in flags) throw new Error(`has --${flag} twice`);
    flags[flag] = value;
    text = text.slice(whole.length);
  }
  if (text === '') throw new Error('says nothing');
  if (text.includes('<<')) throw new Error('has a here-document, which the rehearsal does not carry out');
  return { line, name, text: rest.replaceAll(/\s+/g, ' '), ...reader.read(text, flags) };
}

const flagOf = (text) => text.match(/^--([\w-]+)=(\S+)\s*/);

function readFrom(text) {
  const [, image, as] = text.match(/^([^\s$]+)(?:\s+AS\s+([\w-]+))?$/i) ?? [];
  if (image === undefined) throw new Error('must be of the form "image" or "image AS name"');
  return { image, as };
}

function readPair(text) {
  const pairs = readPairs(text);
  const [[key, value], ...more] = Object.entries(pairs);
  if (more.length > 0) throw new Error('must have one name');
  return { key, value };
}

/** Words of the form key=value or key="a value". */
function readPairs(text) {
  const pairs = {};
  const rest = text.replaceAll(/([\w.-]+)=(?:"([^"\\]*)"|([^\s"'\\]*))(?=\s|$)/g, (_, key, quoted, plain) => {
    pairs[key] = quoted ?? plain;
    return '';
  });
  if (rest.trim() !== '') throw new Error(`has "${rest.trim()}", which is not of the form key=value`);
  return pairs;
}

function readCopy(text, { from }) {
  const words = text.split(/\s+/);
  if (words.length < 2 || /["'[\]*?]/.test(text))
    throw new Error('must name its sources and its destination');
  const destination = words.pop();
  if (words.length > 1 && !destination.endsWith('/'))
    throw new Error('has several sources: its destination must end with /');
  return { sources: words, destination, from };
}

function readRun(text, { mount }) {
  if (text.startsWith('[')) throw new Error('must be in the shell form');
  if (mount === undefined) return { command: text };
  const [, target] = mount.match(/^type=cache,target=(\/[^,]+)$/) ?? [];
  if (target === undefined) throw new Error('may only mount type=cache,target=/folder');
  return { command: text, cache: target };
}

function readHealthcheck(text, flags) {
  const [, command] = text.match(/^CMD\s+(\[[\s\S]*\])$/) ?? [];
  if (command === undefined) throw new Error('must be of the form CMD ["program", …]');
  return { argv: readJson(command), timing: flags };
}

/** The shell form would make a shell process 1, and the signal of a stop would end there. */
function readJson(text) {
  let argv;
  try {
    argv = JSON.parse(text);
  } catch {
    // Said below.
  }
  if (!Array.isArray(argv) || argv.length === 0 || !argv.every((word) => typeof word === 'string'))
    throw new Error('must be of the form ["program", …]');
  return argv;
}

/** What a container would be started with, as far as a stage has come. */
export function emptyConfig() {
  return {
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
    args: {},
    labels: {},
    workdir: '/',
    user: 'root',
    volumes: [],
    ports: [],
    stopSignal: 'SIGTERM',
    healthcheck: undefined,
    cmd: [],
  };
}

/** The configuration after one more instruction; those that only change files leave it as it is. */
export function configure(config, instruction) {
  const fill = (text) => substitute(text, config);
  switch (instruction.name) {
    case 'ARG':
      return { ...config, args: { ...config.args, [instruction.key]: fill(instruction.value) } };
    case 'ENV':
      return { ...config, env: { ...config.env, ...mapValues(instruction.pairs, fill) } };
    case 'LABEL':
      return { ...config, labels: { ...config.labels, ...mapValues(instruction.pairs, fill) } };
    case 'WORKDIR':
      return { ...config, workdir: absolute(fill(instruction.path), config) };
    case 'USER':
      return { ...config, user: fill(instruction.user) };
    case 'VOLUME':
      return { ...config, volumes: [...config.volumes, absolute(fill(instruction.path), config)] };
    case 'EXPOSE':
      return { ...config, ports: [...config.ports, instruction.port] };
    case 'STOPSIGNAL':
      return { ...config, stopSignal: instruction.signal };
    case 'HEALTHCHECK':
      return { ...config, healthcheck: { argv: instruction.argv, timing: instruction.timing } };
    case 'CMD':
      return { ...config, cmd: instruction.argv };
    case 'COPY':
    case 'RUN':
      return config;
    default:
      throw new DockerfileError(
        `Dockerfile, line ${instruction.line}: ${instruction.name} has no effect here`,
      );
  }
}

/** An absolute path within the root; relative ones start at WORKDIR. */
export function absolute(path, { workdir }) {
  if (path.includes('..')) throw new DockerfileError(`Dockerfile: the path ${path} leads upwards`);
  return path.startsWith('/') ? path : `${workdir.replace(/\/$/, '')}/${path.replace(/^\.\//, '')}`;
}

/** $NAME and ${NAME}, from ENV before ARG. */
function substitute(text, { env, args }) {
  return text.replaceAll(/\$(?:(\w+)|\{(\w+)\}|)/g, (whole, plain, braced) => {
    const name = plain ?? braced;
    const value = name === undefined ? undefined : (env[name] ?? args[name]);
    if (value === undefined) throw new DockerfileError(`Dockerfile: "${text}": nothing is known of ${whole}`);
    return value;
  });
}

const mapValues = (pairs, change) =>
  Object.fromEntries(Object.entries(pairs).map(([key, value]) => [key, change(value)]));
