import { WORLD_TITLES } from './slots.js';

/**
 * A kind of link: templates for its titles and its targets. `{name}` is a slot (see texts.ts); a slot has one
 * value within a link, so a title and its target speak of the same thing.
 */
export interface Topic {
  /** How often, against the sum of all. */
  readonly weight: number;
  readonly titles: readonly string[];
  /** Hosts are reserved names only: example.com, example.org, example.net, and the TLDs .example and .test. */
  readonly targets: readonly string[];
}

/** The query of a tagged campaign link. */
const UTM = 'utm_source={source}&utm_medium={medium}&utm_campaign={campaign}';

/** All kinds of links. */
export const TOPICS: readonly Topic[] = [
  {
    weight: 18, // blog posts
    titles: [
      'How we {achieved}',
      'Why {org} {decided}',
      'What {doing} taught us about {subject}',
      '{k} things we learned from {doing}',
      'Notes on {subject}',
      'A gentle introduction to {subject}',
      '{subject}, explained with {prop}',
      'The case against {subject}',
      '"{quip}" and other myths about {subject}',
      '{subject}: {k} years on',
    ],
    targets: [
      'https://blog.{host}.example/{year}/{month}/{slug}',
      'https://blog.example.com/posts/{slug}',
      'https://{host}.example/blog/{slug}?ref=newsletter',
      'https://www.example.org/journal/{year}/{slug}.html',
      `https://blog.example.net/{slug}/?${UTM}`,
      'http://{host}.example/archives/{n}#comments',
    ],
  },
  {
    weight: 12, // docs pages
    titles: [
      '{product} {docpart}',
      '{product} – {docpart}',
      '{product} {q}.{k} release notes',
      'How to {task} in {product}',
      'Runbook: {incident}',
      'Docs: {task}',
      '{docpart}, {product} {q}.x',
    ],
    targets: [
      'https://docs.example.org/{product}/{slug}',
      'https://docs.{host}.example/en/latest/{slug}.html#{anchor}',
      'https://docs.example.com/{product}/v{q}/guide/{slug}#{anchor}',
      'https://wiki.{host}.test/display/OPS/{plus}',
      'https://help.{host}.example/hc/en-gb/articles/{id}-{slug}',
    ],
  },
  {
    weight: 3, // API reference
    titles: [
      '{product} API reference: {resource}',
      '{product} API: {resource}, v{q}',
      '"{resource}" – API reference',
    ],
    targets: [
      'https://developer.example.net/reference/{resource}?version={year}-{month}-{day}#{anchor}',
      'https://api.{host}.example/v{q}/docs/{resource}#{anchor}',
    ],
  },
  {
    weight: 12, // campaigns
    titles: [
      '{season} {year}: {offer}',
      '{season} at {org}: {offer}',
      '{org} – {offer}',
      '🎟 {offer}, {season} {year}',
      '{season} mailing no. {k}',
      'Landing page "{season}", variant {letter}',
    ],
    targets: [
      `https://www.{host}.example/{season}?${UTM}`,
      `https://shop.{host}.example/offers/{slug}?${UTM}&utm_content=variant-{letter}`,
      `https://go.example.com/l/{hex}?${UTM}&utm_term={encoded}`,
      `https://{host}.example/?${UTM}&gclid={token}`,
      `https://www.example.net/campaigns/{year}/{campaign}/?${UTM}#signup`,
    ],
  },
  {
    weight: 8, // conference talks
    titles: [
      '{talk} – {conference} {year}',
      '{conference} {year}: {talkpart}',
      '"{talk}" ({talkpart})',
      '{speaker}: {talk}',
      '{conference} {year} schedule, day {q}',
    ],
    targets: [
      'https://{conference}.example/{year}/talks/{slug}',
      'https://slides.example.org/{host}/{slug}#/{k}',
      'https://video.example.com/watch?v={token}&t={n}s',
      'https://{year}.{conference}.example/schedule?day={q}&track={letter}#{talk}',
      'https://cfp.example.net/{conference}-{year}/talk/{code}/',
    ],
  },
  {
    weight: 6, // invoices
    titles: [
      'Invoice {year}-{n} ({org})',
      'Receipt #{n}, {org}',
      'Quote {n}: {service}',
      'Reminder: invoice {year}/{n}',
      'Purchase order PO-{n}, {service}',
      '{service} – invoice {n}',
    ],
    targets: [
      'https://billing.example.com/invoices/{year}-{n}.pdf',
      'https://billing.{host}.example/i/{token}?lang=en&download=1',
      'https://pay.example.org/checkout/{hex}?amount={n}.00&currency=EUR&ref={year}%2F{n}',
      'https://files.{host}.test/accounts/{year}/{month}/PO-{n}%20{host}.pdf',
    ],
  },
  {
    weight: 8, // dashboards
    titles: [
      '{metric} dashboard',
      '{product}: {metric}, last {span}',
      '{org} {metric} ({region})',
      'Weekly {metric}',
      'TV screen: {metric} & {subject}',
      '{metric}, {region}, {span}',
    ],
    targets: [
      'https://grafana.{host}.test/d/{hex}/{metric}?orgId={q}&from=now-{k}h&to=now&var-region={region}',
      'https://metrics.example.org/dashboards/{n}?tab={metric}&region={region}#panel-{k}',
      'https://app.example.com/analytics/{product}/overview?range={span}&compare=previous',
      'http://monitor.{host}.test:8080/view/{metric}?refresh=30',
      'https://bi.{host}.example/q/{n}?filters=%7B%22region%22%3A%22{region}%22%7D',
    ],
  },
  {
    weight: 5, // status pages
    titles: [
      '{org} status',
      'Incident {year}-{month}-{day}: {incident}',
      'Scheduled maintenance, {region}, {year}-{month}-{day}',
      '{product} status: {incident}',
      'Post-mortem – {incident} ({region})',
    ],
    targets: [
      'https://status.{host}.example/',
      'https://status.{host}.example/incidents/{hex}',
      'https://status.example.com/{product}/history?page={q}#{year}-{month}-{day}',
      'https://status.example.net/{region}/maintenance/{n}',
    ],
  },
  {
    weight: 7, // job ads
    titles: [
      '{role} ({place})',
      'We’re hiring: {role}',
      '{role}, {team} team',
      '{role} at {org}, {place}',
      '{org} careers – {place}',
    ],
    targets: [
      'https://jobs.{host}.example/{slug}-{n}',
      'https://careers.example.org/{host}/positions/{id}?lang=en&source={source}',
      'https://{host}.example/careers/{team}/{slug}#apply',
      'https://jobs.example.com/apply?job={n}&loc={encodedplace}',
    ],
  },
  {
    weight: 4, // clubs
    titles: ['{club}: {clubpart}', '{club} {clubpart} {year}', '{club}, {place}: {clubpart}'],
    targets: [
      'https://sheets.example.com/d/{token}/edit#gid={n}',
      'https://{club}.example/{clubpart}',
      'https://photos.example.org/share/{token}?album={encoded}',
      'https://maps.example.com/?q={encodedplace}&z={k}',
    ],
  },
  {
    weight: 3, // recipes
    titles: ['{dish}, for {k}', 'Recipe: {dish}', '{dish} ({club})'],
    targets: [
      'https://recipes.example.net/{dish}?servings={k}',
      'https://{club}.example/recipes/{dish}#ingredients',
    ],
  },
  {
    weight: 4, // files
    titles: [
      '{report} Q{q} {year} (PDF)',
      '{report}, {team} team',
      'Slides: {subject}',
      'DRAFT {report} v{k}, do not share',
    ],
    targets: [
      'https://files.example.org/public/{year}/{slug}.pdf',
      'https://drive.{host}.example/file/d/{token}/view?usp=sharing',
      'https://download.example.com/shared/{encoded}.pdf?v={k}#page={q}',
    ],
  },
  {
    weight: 3, // meetings
    titles: ['{meeting}, {year}-{month}-{day}', '{meeting}: {team} & {club}', '{meeting}, {team} team'],
    targets: [
      'https://notes.example.net/{team}/{year}-{month}-{day}-{slug}',
      'https://meet.{host}.example/{code}?pwd={token}',
    ],
  },
  {
    weight: 5, // shop items
    titles: ['{item}, {colour}', '{item} | {org} shop', '{item} – back in stock', '{org} × {club}: {item}'],
    targets: [
      'https://shop.{host}.example/p/{item}?colour={colour}&size=M',
      'https://shop.example.com/catalogue/{id}/{item}.html?ref={source}',
      `https://store.example.net/products/{item}?variant={id}&${UTM}`,
    ],
  },
  {
    weight: 4, // forms
    titles: ['{survey}: {club}', '{survey} {year}', '{survey}, {conference}', '{survey} ({team})'],
    targets: [
      'https://forms.example.org/f/{token}?entry.{id}={encodedplace}',
      'https://survey.{host}.example/s/{code}?lang=de&src={source}',
      'https://forms.example.com/{slug}/respond',
    ],
  },
  {
    weight: 5, // tickets and searches
    titles: [
      '{product} #{n}: {bug}',
      'Bug: {bug}',
      '[{product}] {bug} · PR {n}',
      'Open tickets, {team}: {bug}',
    ],
    targets: [
      'https://git.example.org/{host}/{product}/issues/{n}#issuecomment-{id}',
      'https://tracker.{host}.test/browse/{team}-{n}?filter={id}',
      'https://search.example.com/?q={encoded}&page={q}&sort=-date',
      'https://git.example.net/{host}/{product}/compare/v{q}.0...v{q}.{k}?diff=split',
    ],
  },
  {
    weight: 3, // podcasts
    titles: [
      'Episode {k}: {subject}, with {guest}',
      'Podcast – {doing}',
      '{guest} on {subject} (episode {k})',
    ],
    targets: [
      'https://podcast.{host}.example/episodes/{k}?t={n}',
      'https://media.example.org/audio/{year}/{slug}.mp3',
    ],
  },
  {
    weight: 2, // previews
    titles: ['Staging preview, {product} PR {n}', '{product} preview: {bug}', 'Staging, {team}'],
    targets: [
      'https://pr-{n}.staging.{host}.test/',
      'http://preview.{host}.test:3000/{product}?theme={colour}',
    ],
  },
  {
    weight: 5, // other languages
    titles: WORLD_TITLES,
    targets: [
      'https://www.{host}.example/{unicode}',
      'https://example.org/wiki/{unicode}#{anchor}',
      'https://blog.example.com/{year}/{encoded}/',
      'https://example.net/{unicode}/index.html?lang={k}',
      'https://news.example.org/{lowerencoded}?ref={source}',
    ],
  },
];
