import { useEffect, useRef, useState } from 'preact/hooks';
import type { Link } from '../api/types.js';
import { count } from '../parts/time.js';
import { type Days, knownDays, readDays } from './sparks.js';

const WIDTH = 90;
const HEIGHT = 20;
/** Below it a single click would fill the height. */
const TOP_MIN = 4;

/** The last 30 days of a link, one bar for each day; requested when the row comes into view. */
export function Spark({ link }: { readonly link: Link }) {
  const [days, setDays] = useState<Days | undefined>(() => knownDays(link));
  const place = useRef<HTMLSpanElement>(null);
  const { id, click_count: clicks } = link;
  useEffect(() => {
    const known = knownDays(link);
    if (known !== undefined) setDays(known);
    const element = place.current;
    if (known !== undefined || element === null) return undefined;
    let giveUp = (): unknown => undefined;
    const seen = new IntersectionObserver((entries) => {
      if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
      seen.disconnect();
      giveUp = readDays(link, setDays);
    });
    seen.observe(element);
    return () => {
      seen.disconnect();
      giveUp();
    };
  }, [id, clicks]);
  return (
    <span class="spark" ref={place}>
      {days === undefined || days.length === 0 ? null : <Bars days={days} />}
    </span>
  );
}

function Bars({ days }: { readonly days: Days }) {
  const total = days.reduce((sum, clicks) => sum + clicks, 0);
  const top = Math.max(TOP_MIN, ...days);
  const step = WIDTH / days.length;
  const bars = days.map((clicks, day) => {
    const height = clicks === 0 ? 0 : Math.max(1.5, (clicks / top) * HEIGHT);
    return clicks === 0
      ? ''
      : `M${(day * step).toFixed(1)} ${HEIGHT}v${(-height).toFixed(1)}h${(step * 0.75).toFixed(1)}v${height.toFixed(1)}z`;
  });
  const text = `${count(total)} ${total === 1 ? 'click' : 'clicks'} in the last 30 days`;
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={text}>
      <title>{text}</title>
      <path class="spark-ground" d={`M0 ${HEIGHT - 0.5}h${WIDTH}`} />
      <path class="spark-bars" d={bars.join('')} />
    </svg>
  );
}
