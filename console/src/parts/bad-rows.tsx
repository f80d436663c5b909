interface BadRowsProps {
  readonly rows: readonly { readonly line: number; readonly error: string }[];
}

/** Lines of a file, or of a pasted text, that were refused, and why. */
export function BadRows({ rows }: BadRowsProps) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by keys
    <section class="scroll" tabIndex={0} aria-label="Bad rows">
      <table class="plain">
        <thead>
          <tr>
            <th scope="col" class="number">
              Line
            </th>
            <th scope="col">What is wrong</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ line, error }) => (
            <tr key={line}>
              <td class="number">{line}</td>
              <td>{error}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
