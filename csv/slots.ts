/** The parts of a text between `|` signs. */
function phrases(text: string): readonly string[] {
  return text.split('|').map((phrase) => phrase.trim());
}

/** Phrases for the `{name}` slots of the templates in topics.ts. */
export const SLOTS: Readonly<Record<string, readonly string[]>> = {
  subject: phrases(`
    connection pools | feature flags | database migrations | on-call rotas | design tokens |
    search relevance | rate limiting | cache invalidation | accessible forms | type-safe routers |
    remote workshops | code review | pair programming | event sourcing | cold starts | time zones |
    character encodings | pagination | customer interviews | pricing pages | error budgets | log retention |
    queue back-pressure | static typing | monorepos | load testing | incident reviews | colour contrast |
    release trains | onboarding emails | IPv6 at home | printable CSS | idempotent webhooks |
    write-ahead logs | small teams | quarterly planning
  `),
  achieved: phrases(`
    cut our build time by half | moved 40 TB without downtime | stopped paging people at night |
    shipped dark mode in a week | made the checkout 300 ms faster | learned to delete code |
    halved the support queue | replaced five cron jobs with one queue | survived our first front page |
    rewrote the importer, twice | taught the search box to spell | got the test suite under a minute |
    brought the cloud bill down | said no to a rewrite | run a four-day week | choose our dependencies
  `),
  decided: phrases(`
    left the monolith alone | publishes its roadmap | went back to PostgreSQL | deletes old accounts |
    answers every e-mail | dropped cookie banners | writes things down | stopped counting story points |
    moved its offices to a library | opened its handbook | pays for open source |
    closed the chat on Fridays
  `),
  doing: phrases(`
    running a bookshop | ten years of backups | a failed migration | writing our own parser |
    hiring in public | two hundred user tests | a month without meetings | moving to Lisbon |
    maintaining a small library | translating the docs | sorting 3 million photos | one very long outage |
    teaching SQL to editors
  `),
  quip: phrases(`
    It works on my machine | Nobody reads logs | Just add an index | We can fix it later |
    Users want more options | Caching is free | Tests slow us down | It is only a prototype
  `),
  prop: phrases(`
    tea cups | train timetables | paper planes | a deck of cards | grocery lists | Lego | bad drawings
  `),
  product: phrases(`
    Ferrule | Quillpress | Tidegate | Mapletree CLI | Sundial | Bramble | Harrow | Pinwheel |
    Cartwheel SDK | Tessera | Longshore | Skein | Waymark | Gantry | Paperclip Server | Millstone
  `),
  docpart: phrases(`
    quick start | installation guide | configuration reference | migration guide | changelog | style guide |
    command line reference | troubleshooting | security model | glossary | architecture overview | FAQ |
    backup and restore | upgrade checklist | limits and quotas | webhooks | single sign-on | theming
  `),
  task: phrases(`
    rotate an API key | restore a backup | add a custom domain | import from CSV | set up two-factor login |
    stream large files | debug a slow query | write a plugin | export an invoice | run behind a proxy |
    invite a teammate | schedule a report | pin a version | mock the clock
  `),
  resource: phrases(`
    accounts | webhooks | sessions | attachments | invoices | search filters | tokens | exports | teams |
    comments | rate limits | batch operations | error codes | events stream
  `),
  anchor: phrases(`
    install | usage | examples | options | limits | parameters | step-3 | troubleshooting | faq | L42 |
    toc
  `),
  season: phrases(`
    Spring | Summer | Autumn | Winter | Back to school | Harvest festival | Mid-year | Black Friday |
    New Year | Bank holiday | Carnival | Birthday week
  `),
  offer: phrases(`
    20 % off annual plans | two months free | buy one, plant one | early-bird tickets |
    free shipping over €40 | bring a friend, save £15 | clearance, last sizes | "pay what you can" week |
    members-only preview | three for two on notebooks | trial extended to 60 days | gift cards |
    student discount | launch offer
  `),
  source: phrases(`
    newsletter | linkboard | poster | partner-site | podcast | qr-code | social | search | blog | sms
  `),
  medium: phrases(`
    email | social | print | cpc | referral | display | qr | affiliate
  `),
  conference: phrases(`
    Tidewater Conf | PineTalks | North Sea JS | Kernel & Crumbs | DataBarn | Lighthouse Summit | Byte Fair |
    Queues in the Alps | Open Ledger Days | Moss & Metrics | FrontPorch | SRE Picnic
  `),
  talk: phrases(`
    Boring tools, happy teams | Eleven ways to lose a message | What the optimiser saw |
    Postgres after midnight | CSS for the printed page | Latency is a budget | Naming things, live |
    Our worst graph | Sleeping through deploys | Unicode for the impatient | Queues all the way down |
    A museum of bugs | Designing for one bar of signal | Tests that tell stories | Rust, a year later |
    The last 404 | Small data | Graceful shutdown for humans
  `),
  speaker: phrases(`
    Oksana V. | T. Adeyemi | Jürgen Kraus | Chloé D. | Łukasz W. | M. O’Brien | Ana Peña | K. Tanaka |
    Søren H.
  `),
  talkpart: phrases(`
    slides | recording | abstract | handout | live stream | Q&A | demo repository | speaker notes
  `),
  service: phrases(`
    website maintenance | catering, 40 people | translation EN–DE | van hire | photo licence |
    hosting, annual | illustration, 6 pieces | venue deposit | bookkeeping | printing, 500 flyers |
    sound engineer | piano tuning
  `),
  metric: phrases(`
    sign-ups | p99 latency | error rate | queue depth | monthly recurring revenue | disk usage |
    open tickets | conversion funnel | churn | cache hit rate | delivery times | newsletter opens |
    energy use | page weight | cold starts | refunds
  `),
  span: phrases(`
    24 hours | 7 days | 30 days | 90 days | 12 months | 15 minutes
  `),
  region: phrases(`
    eu-north | eu-west | us-east | ap-south | sa-east | af-south
  `),
  incident: phrases(`
    elevated error rates | delayed e-mail delivery | certificate expiry | slow search | login failures |
    stale dashboards | payment provider outage | read-only mode | webhook backlog | packet loss |
    full disk | DNS misconfiguration
  `),
  role: phrases(`
    Backend engineer | Senior product designer | Technical writer | Site reliability engineer |
    Office manager | Head baker | Data analyst | Support specialist, weekends | Community organiser |
    Junior developer (m/f/x) | Editor-in-chief | Barista | Front-end engineer | QA lead | Bike mechanic |
    Accountant, part-time | Museum guide | Working student | Database administrator | Translator PL–EN
  `),
  place: phrases(`
    Lisbon | remote, EU | Nairobi | São Paulo | Gdańsk | Köln | Malmö | Kyoto | Leeds | remote | Montréal |
    Accra | Pune | Zürich | Oaxaca | Galway
  `),
  team: phrases(`
    platform | growth | editorial | payments | field | data | mobile | kitchen | people | security
  `),
  club: phrases(`
    Riverside allotment | Tuesday running club | Old Town choir | Board game night | Repair café |
    Film society | Parents’ council | Five-a-side league | Sourdough circle | Astronomy evening |
    Street library | Chess ladder
  `),
  clubpart: phrases(`
    sign-up sheet | rota | photos | directions | membership form | lost and found | rules | calendar |
    donations | waiting list
  `),
  dish: phrases(`
    Lentil soup | Rhubarb crumble | Jollof rice | Crème brûlée | Pierogi, three fillings | Miso aubergine |
    Smørrebrød | Feijoada | Pickled beetroot | Overnight focaccia | Kimchi pancakes | Apple strudel |
    Mole poblano | Butter chicken | Gözleme | "Emergency" brownies
  `),
  report: phrases(`
    Impact report | Board pack | Salary bands | Press kit | Brand guidelines | Accessibility audit |
    Budget | Penetration test summary | Survey results | Reading list | Floor plan | Travel policy
  `),
  item: phrases(`
    Enamel mug | Linen apron | A5 notebook, dotted | Desk lamp | Wool socks | Screen-print poster |
    Canvas tote | Fountain pen, fine nib | 24" monitor arm | Travel kettle | Rain jacket | Cast-iron pan |
    Bike bell
  `),
  colour: phrases(`
    moss | navy | oat | brick | slate | mustard | off-white | plum | crème
  `),
  survey: phrases(`
    Reader survey | Exit interview | Venue feedback | Beta sign-up | Dietary requirements |
    Shift preferences | Customer satisfaction | Workshop feedback | Bug report form | Speaker application |
    Volunteer form
  `),
  meeting: phrases(`
    Minutes | Agenda | Retro board | Sprint review | All-hands recording | Steering group notes |
    Budget round | Design critique | Post-mortem | Supplier call
  `),
  bug: phrases(`
    crash on empty title | wrong total after refund | CSV export drops "quoted" cells |
    login loop, Safari only | dates off by one in UTC+13 | search ignores umlauts | memory grows overnight |
    button hidden at 320 px | e-mail sent twice | emoji breaks the PDF | timeouts behind VPN |
    drag & drop loses order
  `),
  guest: phrases(`
    a beekeeper | a type designer | two librarians | the night shift | a ferry captain | our accountant
  `),
};

/** Whole titles in other languages, for targets with Unicode letters or percent-encoding in the path. */
export const WORLD_TITLES = phrases(`
  Öffnungszeiten über die Feiertage {year} | Straßenfest im Süden, Programm {year} |
  Übersicht: häufige Fragen {k} | Menu de la rentrée, semaine {k} | Où garer son vélo à l’été {year} ? |
  Forêt d’hiver : 10 idées de balades | Przewodnik po Łodzi, część {k} |
  Zażółć gęślą jaźń – test czcionek {k} | ¿Cómo llegar? Mapa del campus {year} |
  Programación de otoño: niños y niñas | Inscrições abertas – edição {year} | Příručka pro nováčky {k} |
  Årsmöte {year}: kallelse och dagordning | Smørbrød på fredag, uge {k} | İstanbul buluşması {year} |
  Расписание занятий, неделя {k} | Київ: карта велодоріжок {year} | Οδηγός για επισκέπτες {year} |
  夏のキャンペーン{year} | 東京ミートアップ 第{k}回 | 新手指南（第{k}版） | 서울 개발자 모임 {k}회 | דף הבית {k} | دليل المستخدم {k} |
  उपयोगकर्ता पुस्तिका {k} | Hướng dẫn cài đặt {k} | คู่มือการใช้งาน {k}
`);
