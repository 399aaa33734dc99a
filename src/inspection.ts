// What may be asked of a worker that runs, stuck or not, and what its watchdog answers. A leaf: the words between the master
// and the watchdog threads, and part of the library's types.

import type { RequestFacts } from './protocol.ts'

/** `file`: absolute path of a file that does not exist yet; the worker writes it, with mode 0600. */
export type Question =
  | { readonly type: 'stack' }
  /** For so many seconds, 0.1 to 300. */
  | { readonly type: 'profile'; readonly seconds: number; readonly file: string }
  | { readonly type: 'heap'; readonly file: string }

/** `before`: nobody waits for the answer any longer, ms since 1970. */
export type ToWatchdog = Question & { readonly seq: number; readonly before: number }

export type Inspected =
  | { readonly type: 'answer'; readonly seq: number; readonly answer: Answer }
  /** `why`: a clause about the worker, such as `it is being looked into already`. */
  | { readonly type: 'refusal'; readonly seq: number; readonly why: string }

/** What the main thread is at. */
export interface StackAnswer {
  /** `native`: it neither runs JavaScript nor waits: it is in code such as pbkdf2Sync, or it gets no processor. */
  readonly state: 'running' | 'idle' | 'native'
  /** Seconds since the event loop last turned, as far as its beat tells, which comes twice a second or more often; 0: it turns. */
  readonly still: number
  /** `at spin (/srv/app.js:12:3)`, innermost first, of the source where there are source maps. Empty unless it is running. */
  readonly stack: readonly string[]
  /** Whose code is on the stack, if that is known: it needs `requestContext`. */
  readonly request?: RequestFacts
  /** The oldest requests in flight, at most 20. */
  readonly oldest: readonly RequestFacts[]
}

export interface ProfileAnswer {
  /** For Chrome's developer tools and others: a .cpuprofile. */
  readonly file: string
  readonly bytes: number
  readonly samples: number
}

export interface HeapAnswer {
  /** For Chrome's developer tools: a .heapsnapshot. */
  readonly file: string
  readonly bytes: number
  /** For so long the worker answered nobody. */
  readonly seconds: number
}

export interface Answers {
  readonly stack: StackAnswer
  readonly profile: ProfileAnswer
  readonly heap: HeapAnswer
}
export type Answer = Answers[keyof Answers]
