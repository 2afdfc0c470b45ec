/**
 * Checks plugins, one after the other, each in a process of its own, and outlives whatever they do. On the command's own
 * thread, which never loads a plugin.
 */
import { type ChildProcess, fork } from 'node:child_process'
import type { ProgressLine } from '../measure/progress-line.js'
import type { CheckSays } from './check-process.js'
import { type CheckQuestion, emptyReport, finding, type PluginReport } from './report.js'

export interface CheckControl {
  isStopped: boolean
  /** Set while a plugin is checked. */
  onStop(): void
}

/** A process that says nothing for so long hangs: each of its stages has a shorter limit of its own. */
const SILENCE_MS = 90_000

/** The reports of the plugins that were checked until `control` said stop. */
export async function runChecks(
  questions: readonly CheckQuestion[],
  progress: ProgressLine,
  control: CheckControl,
): Promise<PluginReport[]> {
  const reports: PluginReport[] = []
  try {
    for (const question of questions) {
      if (control.isStopped) break
      const report = await checkInProcess(question, progress, control)
      if (report !== null) reports.push(report)
    }
  } finally {
    progress.done()
  }
  return reports
}

/** Null when it was stopped before anything was known. */
function checkInProcess(
  question: CheckQuestion,
  progress: ProgressLine,
  control: CheckControl,
): Promise<PluginReport | null> {
  const child: ChildProcess = fork(new URL('./check-process.js', import.meta.url), {
    // What a plugin prints past the capture of its lane must not get between the report's lines.
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    serialization: 'advanced',
  })
  let lastWords = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    lastWords = `${lastWords}${text}`.slice(-2000)
  })
  let report: PluginReport | null = null
  let stage = 'starting'
  return new Promise((resolve) => {
    let isOver = false
    let timer: NodeJS.Timeout | undefined
    const end = (how: 'done' | 'stopped' | 'silent' | 'died', detail = '') => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      control.onStop = () => {}
      // A thread that nothing else ends goes with its process.
      child.kill('SIGKILL')
      if (how === 'done' || how === 'stopped') resolve(report)
      else resolve(withDeath(report ?? emptyReport(question), how, stage, detail))
    }
    const watch = () => {
      clearTimeout(timer)
      timer = setTimeout(() => end('silent'), SILENCE_MS)
    }
    control.onStop = () => end('stopped')
    child.on('message', (said: CheckSays) => {
      watch()
      if (said.kind === 'stage') {
        stage = said.stage
        progress.step(`${question.shown}: ${stage}`)
      } else if (said.kind === 'report') report = said.report
      else end('done')
    })
    child.on('error', (error) => end('died', error.message))
    child.on('close', (code, signal) => end('died', `${signal ?? `exit code ${code}`}${lastLine(lastWords)}`))
    child.send(question)
    watch()
  })
}

function withDeath(report: PluginReport, how: 'silent' | 'died', stage: string, detail: string): PluginReport {
  const message =
    how === 'silent'
      ? `the process in which it was checked stopped answering (${stage})`
      : `the process in which it was checked ended with ${detail} (${stage})`
  report.findings.push(finding('kills-process', message))
  if (!report.isLoaded) report.error ??= { code: 'PLUGIN_CRASHED', message }
  return report
}

function lastLine(text: string): string {
  const line = text
    .trim()
    .split('\n')
    .find((each) => /error|fatal/i.test(each))
  return line === undefined ? '' : `: ${line.trim().slice(0, 200)}`
}
