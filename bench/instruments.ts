/**
 * What the benches measure, compare and draw with: the instruments of `hookring bench`. They are no part of what is
 * measured, so benches take them from the source, here and nowhere else; hookring itself they import by name.
 */
export * from '../src/cli/measure/ask-process.js'
export * from '../src/cli/measure/busy.js'
export * from '../src/cli/measure/contenders/index.js'
export type { QuestionOptions, Work } from '../src/cli/measure/contenders/question.js'
export * from '../src/cli/measure/format.js'
export * from '../src/cli/measure/histogram.js'
export * from '../src/cli/measure/plot.js'
export * from '../src/cli/measure/progress-line.js'
export * from '../src/cli/measure/rounds.js'
export * from '../src/cli/measure/stolen.js'
export type { Answer, Events, Round, Subject } from '../src/cli/measure/subject.js'
export { markdownTable } from '../src/cli/measure/table.js'
export * as turns from '../src/cli/measure/turns.js'
