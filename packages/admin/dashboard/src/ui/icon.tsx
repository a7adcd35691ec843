/**
 * Icons as strokes on a grid of 24: drawn for this page, so that none is fetched. They say nothing that text beside them
 * does not say, and are hidden from screen readers.
 */
const paths = {
  overview: 'M4 19V11M10 19V5M16 19v-6M21 19H3',
  clients: 'M4 7h10v8H4zM2 18h14M18 9h4v9h-4z',
  topics: 'M5 4v14a2 2 0 0 0 2 2h4M5 9h6M14 6h6v6h-6zM14 16h6v6h-6z',
  live: 'M3 12h4l3-8 4 16 3-8h4',
  publish: 'M4 12 20 4l-5 16-4-7z',
  why: 'M9.2 9a3 3 0 1 1 4.2 2.8c-.9.5-1.4 1-1.4 2.2M12 17.5v.01M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z',
  trace: 'M5 5h4M5 12h9M5 19h14M12 5h.01M17 12h.01',
  drops: 'M12 3c4 5 6 7.5 6 11a6 6 0 0 1-12 0c0-3.500 2-6 6-11zM9.500 14h5',
  shared:
    'M12 5v6M12 11 6 17M12 11l6 6M12 5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM5 21a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM19 21a2 2 0 1 0 0-4 2 2 0 0 0 0 4z',
  bridges: 'M2 17V9M22 17V9M2 12c5 0 6-5 10-5s5 5 10 5M2 17h20M8 17v-6M16 17v-6',
  configuration: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4',
  bans: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM5.700 5.700l12.600 12.600',
  tokens: 'M15 14a5 5 0 1 0-4.600-3L3 18.400V21h3v-2h2v-2h2l1.600-1.600A5 5 0 0 0 15 14zM16 8h.01',
  audit: 'M6 3h9l4 4v14H6zM15 3v4h4M9 12h7M9 16h5',
  menu: 'M4 7h16M4 12h16M4 17h16',
  close: 'M6 6l12 12M18 6 6 18',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM20 20l-4-4',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.400 1.400M17.600 17.600 19 19M19 5l-1.400 1.400M6.400 17.600 5 19',
  moon: 'M20 14.500A8 8 0 1 1 9.500 4a6.500 6.500 0 0 0 10.500 10.500z',
  auto: 'M12 21a9 9 0 1 0 0-18zM12 3a9 9 0 0 1 0 18',
  ok: 'M5 12.500 10 17l9-10',
  warning: 'M12 4 2.500 20h19zM12 10v4M12 17v.01',
  bad: 'M8 3h8l5 5v8l-5 5H8l-5-5V8zM12 8v5M12 16v.01',
  down: 'M6 9l6 6 6-6',
  right: 'M9 6l6 6-6 6',
  up: 'M6 15l6-6 6 6',
  play: 'M8 5v14l11-7z',
  pause: 'M8 5v14M16 5v14',
  stop: 'M7 7h10v10H7z',
  user: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4 3.500-6 8-6s8 2 8 6',
  globe:
    'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM3 12h18M12 3c3 3 3.500 6 3.500 9S15 18 12 21c-3-3-3.500-6-3.500-9S9 6 12 3z',
} as const
export type IconName = keyof typeof paths

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  )
}

/** Sign of the project: a note with a fold. */
export function Logo() {
  return (
    <svg class="logo" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path class="logo-note" d="M4 3h16a1 1 0 0 1 1 1v11l-6 6H4a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1z" />
      <path class="logo-fold" d="M21 15h-5a1 1 0 0 0-1 1v5z" />
      <path class="logo-line" d="M7 8h10M7 12h6" />
    </svg>
  )
}
