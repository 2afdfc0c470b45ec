/**
 * What the contenders are asked: a module that makes the events and does the work, in whichever thread it is told to.
 * Types, and how contenders load such a module.
 */
import type { Answer, Events } from '../subject.js'

/** Plain data, because it goes to processes and threads. `module` is the URL of a QuestionModule. */
export interface QuestionOptions {
  readonly module: string
  readonly options: unknown
}

export type Work = (event: unknown) => Answer | Promise<Answer>

export interface QuestionModule {
  /** On the host's thread. */
  openEvents(options: unknown): Promise<Events>
  /** In the thread that does the work, once. */
  openWork(options: unknown): Promise<Work>
}

export async function openEvents({ module, options }: QuestionOptions): Promise<Events> {
  return ((await import(module)) as QuestionModule).openEvents(options)
}

export async function openWork({ module, options }: QuestionOptions): Promise<Work> {
  return ((await import(module)) as QuestionModule).openWork(options)
}
