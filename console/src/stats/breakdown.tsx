import type { Fact } from '../api/stats.js';
import type { Statistics } from '../api/types.js';
import { count } from '../parts/time.js';
import { addressOf } from '../place.js';

const titles = {
  country: 'Countries',
  referrer: 'Referrers',
  browser: 'Browsers',
  os: 'Systems',
  device: 'Devices',
  code: 'Links',
} as const satisfies Record<Fact, string>;

const countries = new Intl.DisplayNames(undefined, { type: 'region' });

function nameOf(fact: Fact, value: string | null): string {
  if (value === null || value === '') return fact === 'referrer' ? '(none)' : '(unknown)';
  if (fact !== 'country') return value;
  try {
    return countries.of(value) ?? value;
  } catch {
    return value;
  }
}

/** The clicks by one fact: values with most clicks first, and the rest as one row. */
export function Breakdown({ fact, stats }: { readonly fact: Fact; readonly stats: Statistics }) {
  const rows = stats.by?.[fact] ?? [];
  const other = stats.other?.[fact];
  const hasOther = other !== undefined && other.clicks + other.previews > 0;
  const most = Math.max(1, ...rows.map(({ clicks }) => clicks));
  const hasValues = rows.some(({ value }) => value !== null);
  return (
    <section class="breakdown">
      <h3>{titles[fact]}</h3>
      {rows.length === 0 ? <p class="hint">Nothing yet</p> : null}
      {rows.length > 0 && !hasValues && fact !== 'referrer' && fact !== 'code' ? (
        <p class="hint">Not known: the setting CLICK_DETAILS is off</p>
      ) : null}
      {rows.length === 0 ? null : (
        <table class="bars">
          <caption class="unseen">{titles[fact]}</caption>
          <thead class="unseen">
            <tr>
              <th scope="col">{titles[fact]}</th>
              <th scope="col">Clicks</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ value, clicks, previews }) => (
              <tr key={value ?? ''} title={`${count(clicks)} clicks, ${count(previews)} previews`}>
                <th scope="row">
                  <svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">
                    <rect width={(100 * clicks) / most} height="1" />
                  </svg>
                  {fact === 'code' && value !== null ? (
                    <a href={addressOf('links', { q: `${window.location.host}/${value}` })} dir="ltr">
                      {value}
                    </a>
                  ) : (
                    <span dir="auto">{nameOf(fact, value)}</span>
                  )}
                </th>
                <td class="number">{count(clicks)}</td>
              </tr>
            ))}
            {hasOther ? (
              <tr>
                <th scope="row">
                  <span class="path">others</span>
                </th>
                <td class="number">{count(other.clicks)}</td>
              </tr>
            ) : null}
          </tbody>
        </table>
      )}
    </section>
  );
}
