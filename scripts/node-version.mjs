// Ends with one sentence on a Node.js that is too old; written for those.
const [major, minor] = process.version.slice(1).split('.').map(Number);
const isEnough = major >= 24 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19);
if (!isEnough) {
  console.error(`switchyard: Node.js ${process.version} does not do: it needs 20.19, 22.12, 24 or newer`);
  process.exit(1);
}
