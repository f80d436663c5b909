// How the console is built, and served while somebody works on it: "npx vite console" asks the server on port 5000.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { runbook } from './runbook.mjs';

const root = path.dirname(fileURLToPath(import.meta.url));
const server = process.env.SWITCHYARD_URL ?? 'http://localhost:5000';

export default defineConfig({
  root,
  base: '/ui/',
  clearScreen: false,
  plugins: [runbook()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: path.join(root, '../dist/src/gateway/console'),
    emptyOutDir: true,
    rolldownOptions: { input: ['index.html', 'runbook.html'].map((page) => path.join(root, page)) },
    target: ['chrome123', 'firefox125', 'safari17.5'],
    // One folder without others in it, and no file written into another: the policy of the page allows files only.
    assetsDir: '',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { '^/(?!ui/)': { target: server, xfwd: true } } },
});
