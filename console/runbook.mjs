// The runbook as a page beside the console, for alerts to link to: plain HTML, made once, by the build.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Marked } from 'marked';
import { gfmHeadingId } from 'marked-gfm-heading-id';

const page = fileURLToPath(new URL('./runbook.html', import.meta.url));
const document = fileURLToPath(new URL('../Docs/OPERATIONAL_RUNBOOK.md', import.meta.url));

/** Headings get the ids that GitHub gives them. The server has no other documents: their names stay as text. */
const marked = new Marked(gfmHeadingId(), {
  renderer: {
    link({ href, tokens }) {
      const text = this.parser.parseInline(tokens);
      if (href.startsWith('#')) return `<a href="${href}">${text}</a>`;
      const [file] = href.split('#');
      return text.includes(path.basename(file)) ? `<cite>${text}</cite>` : `${text} (<cite>${file}</cite>)`;
    },
  },
});

/** For Vite: puts the runbook into its page. */
export function runbook() {
  return {
    name: 'runbook',
    transformIndexHtml: {
      order: 'pre',
      handler: (html, { filename }) =>
        filename === page
          ? html.replace('<!-- runbook -->', () => marked.parse(readFileSync(document, 'utf8')))
          : html,
    },
  };
}
