/** The other ways of asking a worker thread, by name. Nothing is imported until one is opened. */
const moduleOf = (file: string): URL => new URL(file, import.meta.url)

/** Each exports `open(question: QuestionOptions): Promise<Subject>`. */
export const CONTENDERS = {
  inline: moduleOf('./inline.js'),
  postMessage: moduleOf('./post-message.js'),
  comlink: moduleOf('./comlink.js'),
  piscina: moduleOf('./piscina.js'),
  tinypool: moduleOf('./tinypool.js'),
  workerpool: moduleOf('./workerpool.js'),
} as const

export type ContenderName = keyof typeof CONTENDERS
export const CONTENDER_NAMES = Object.keys(CONTENDERS) as ContenderName[]
