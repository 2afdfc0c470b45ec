/** docs/reference/metrics.md and events.md. */
import { FAMILIES as BROKER_FAMILIES } from '../../dist/adapters/aedes/metrics.js'
import { CUT_SHORT_BY, FAILURE_KINDS } from '../../dist/contracts/verdict.js'
import { BUCKET_BOUNDS_US, FAMILIES } from '../../dist/host/telemetry/metric-families.js'
import { RESTART_REASONS, VERDICT_INDEX, VIOLATION_KINDS } from '../../dist/host/telemetry/recorders.js'
import { membersOf } from './declarations.mjs'
import { code, linkCodes, prose, table } from './markdown.mjs'
import { textOf } from './options.mjs'

const words = (list) => list.map(code).join(', ')

const LABELS = [
  ['engine', 'a small number that no other open engine of the registry has'],
  ['contract', '`shop@1`'],
  ['hookpoint', 'its name in the contract'],
  ['plugin', "the operator's name for it"],
  ['bulkhead', 'its name'],
  ['lane', 'the number of the lane in its bulkhead, from 0'],
  ['verdict', `${words(Object.keys(VERDICT_INDEX))}; of a shadow also \`failure\``],
  ['enforced', 'the verdict that the call came to'],
  ['failure', words(FAILURE_KINDS)],
  ['by', words(CUT_SHORT_BY)],
  ['reason', words(RESTART_REASONS)],
  ['kind', words(VIOLATION_KINDS)],
]

export function metricsPage() {
  const rows = Object.values(FAMILIES).map(({ name, type, labels, help }) => [
    code(`hookring_${name}`),
    type,
    labels.join(', '),
    prose(help),
  ])
  const ofBroker = BROKER_FAMILIES.map(({ name, type, help, read }) => [code(name), type, labelOf(read), prose(help)])
  const bounds = `${BUCKET_BOUNDS_US[0]} µs to ${(BUCKET_BOUNDS_US.at(-1) / 1e6).toFixed(1)} s`
  return `# Metrics

An engine counts in plain numbers, which a scrape reads: a metric costs nothing until somebody asks. \`engine.registry\` is the
prom-client registry that has them, of the engine's own or the one that the option \`registry\` names;
\`metricsPrefix\` replaces \`hookring_\`. [Operating](../guide/operating.md#metrics) says which to watch.

## Of an engine

All of them carry the labels \`engine\` and \`contract\` besides those named here.

${table(['metric', 'type', 'labels', ''], rows)}

Histograms have the buckets of powers of two from ${bounds}.

## Of an MQTT broker

\`attachHooks\` adds them to the registry of its engine. Brokers that share a registry are added up.

${table(['metric', 'type', 'labels', ''], ofBroker)}

## Labels

${table(['label', 'values'], LABELS)}
`
}

/** The labels that a broker's metric has, and their values. */
function labelOf(read) {
  const nothing = new Proxy({}, { get: () => 0 })
  const samples = read(nothing, nothing)
  const names = Object.keys(samples[0].labels)
  if (names.length === 0) return ''
  return `${names[0]}: ${samples.map(({ labels }) => code(labels[names[0]])).join(', ')}`
}

const EVENTS = 'dist/host/telemetry/events.d.ts'
const SAID = {
  deadLetter:
    'An observation was accepted and not delivered to a plugin: its lane was lost, the queue was full, or the engine closed. The event is handed over whole, so that the server can keep it.',
  laneReplaced: 'A lane was lost and its successor serves. After a hang, a crash, a broken protocol or a reload.',
  pluginQuarantined: 'A plugin is no longer asked.',
  pluginReleased: 'A plugin in quarantine is asked again: its probe succeeded, or an operator released it.',
  zombie: 'A thread was told to end and has not. It keeps a core and its memory until the process ends.',
}

export function eventsPage(codes) {
  const text = textOf(EVENTS)
  const events = membersOf(text, 'EngineEvents', ';')
  const payloads = new Set()
  const sections = events.map(({ name, type, doc }) => {
    const payload = type.replace(/^\[(?:readonly )?/, '').replace(/\]$/, '')
    const told = SAID[name] ?? doc
    const fields = /^\w+$/.test(payload) && payload !== 'HookringError' ? fieldsOf(text, payload, codes) : ''
    payloads.add(payload)
    const one = payload === 'HookringError' ? 'The listener is given a [HookringError](errors.md).' : ''
    const inline = payload.startsWith('{') ? `The listener is given ${code(payload)}.` : ''
    return `## ${name}\n\n${linkCodes(prose(told), codes, 'errors.md')}\n\n${fields}${one}${inline}`
  })
  return `# Events

\`engine.on(name, listener)\`, \`once\` and \`off\`. Listeners run outside of the stack of what happened: one that throws is an
uncaught exception of the process, as everywhere in Node.js, and no call's. An \`error\` that nobody listens to is logged, and
does not end the process.

${sections.map((section) => section.trimEnd()).join('\n\n')}
`
}

function fieldsOf(text, name, codes) {
  const rows = membersOf(text, name, ';').map((member) => [
    code(member.name),
    code(member.type),
    linkCodes(prose(member.doc), codes, 'errors.md'),
  ])
  return `${table(['field', 'type', ''], rows)}\n`
}
