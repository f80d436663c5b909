import Bowser from 'bowser';
import { LRUCache } from 'lru-cache';
import { type JournalledLink, VisitKind } from '../../journal/format.js';
import type { JournalledVisit } from '../../journal/known.js';
import { isBot } from '../../runtime/bots.js';

/** What a user agent says about itself; unknown parts are absent. */
interface AgentFacts {
  readonly browser?: string;
  readonly os?: string;
  readonly device?: string;
  readonly bot?: true;
}

/** The details of an event that come from the visit; unknown ones are absent. */
export interface VisitFacts extends AgentFacts {
  readonly referrer?: string;
  readonly country?: string;
  readonly address?: string;
  readonly method?: 'HEAD';
}

/** A visit whose facts are known already: it comes from Kafka. */
export interface StreamedVisit {
  readonly kind: VisitKind;
  readonly facts: VisitFacts;
}

export type Visit = JournalledVisit | StreamedVisit;

/** A click on its way into the database. */
export interface IngestedClick {
  readonly link: JournalledLink;
  /** ms since 1970. */
  readonly timeMs: number;
  readonly visit: Visit | undefined;
}

/** User agents are few, and parsing one takes long. */
const agents = new LRUCache<string, AgentFacts>({ max: 10_000 });

/** Whether a person was redirected, as far as the gateway has to decide (COUNT_BOTS). */
export function isVisit(visit: Visit): boolean {
  return visit.kind === VisitKind.CLICK;
}

export function visitFacts(visit: Visit): VisitFacts {
  if ('facts' in visit) return visit.facts;
  return {
    ...known('referrer', visit.referrer),
    ...agentFacts(visit.userAgent),
    ...known('country', visit.country),
    ...known('address', visit.address),
    ...(visit.kind === VisitKind.HEAD ? { method: 'HEAD' as const } : {}),
  };
}

function agentFacts(userAgent: string): AgentFacts {
  if (userAgent === '') return {};
  const cached = agents.get(userAgent);
  if (cached !== undefined) return cached;
  const { browser, os, platform } = Bowser.parse(userAgent);
  const facts: AgentFacts = {
    ...known('browser', browser.name),
    ...known('os', os.name),
    ...known('device', platform.type),
    ...(isBot(userAgent) ? { bot: true as const } : {}),
  };
  agents.set(userAgent, facts);
  return facts;
}

function known<Name extends string>(name: Name, value: string | undefined): { [K in Name]?: string } {
  return value === undefined || value === '' ? {} : ({ [name]: value } as { [K in Name]?: string });
}
