// Preloaded into a server under test: TEST_PACKAGES names packages (JSON) and the file that is in the place
// of each, or null for one that is not installed.
import { register } from 'node:module';

const hooks = `
  const packages = ${process.env.TEST_PACKAGES};
  export async function resolve(specifier, context, next) {
    if (!(specifier in packages)) return next(specifier, context);
    if (packages[specifier] === null) throw new Error('not installed: ' + specifier);
    return { url: packages[specifier], shortCircuit: true };
  }
`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
