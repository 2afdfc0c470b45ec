/** docs/reference/shipped-contracts.md: the hookpoints and events of the contracts that ship. */

import * as door from '../../dist/contracts/index.js'
import { connection, delivery, exhook1, exhook2, exhook3, http, mqtt } from '../../dist/contracts/index.js'
import { membersFrom } from './declarations.mjs'
import { code, prose, table } from './markdown.mjs'
import { textOf } from './options.mjs'

const MESSAGES = 'src/contracts/exhook/messages.ts'
const CONTRACTS = [
  {
    contract: delivery,
    file: 'src/contracts/delivery.ts',
    text: 'The server hooks of quicprochat, an end-to-end encrypted message delivery server. Only `onMessageEnqueue` can refuse; the others are told of what has happened. Payloads are encrypted, so hooks see metadata only.',
  },
  {
    contract: http,
    file: 'src/contracts/http.ts',
    text: 'The hooks of an HTTP server. See [HTTP](../http.md).',
  },
  {
    contract: mqtt,
    file: 'src/contracts/mqtt.ts',
    text: 'The hooks of an MQTT broker. What they do to clients is in [MQTT](../mqtt.md).',
  },
  {
    contract: connection,
    file: 'src/contracts/connection.ts',
    text: 'The hooks of an IPC server. See [connections](../connection.md).',
  },
  {
    contract: exhook3,
    file: 'src/contracts/exhook/exhook3.ts',
    more: [MESSAGES],
    text: 'EMQX’s extension hooks, package `emqx.exhook.v3`: brokers 5.9 and later. See [ExHook](../exhook.md).',
  },
  {
    contract: exhook2,
    file: 'src/contracts/exhook/exhook2.ts',
    text: 'Package `emqx.exhook.v2`: brokers 5.0 to 5.8. The shapes that are not listed here are those of exhook@3.',
  },
  {
    contract: exhook1,
    file: 'src/contracts/exhook/exhook1.ts',
    text: 'Package `emqx.exhook.v1`: brokers 4.3 and 4.4. The shapes that are not listed here are those of exhook@3.',
  },
]

export function contractsPage() {
  const listed = CONTRACTS.map(({ contract }) => contract)
  const missing = Object.values(door).filter((value) => value?.hookpoints !== undefined && !listed.includes(value))
  if (missing.length > 0) throw new Error(`contracts without a place in the reference: ${missing.map(({ id }) => id)}`)
  return `# Contracts that ship

\`hookring/contracts\` exports them. A shape is a zod schema, as it is declared: [contracts](contracts.md) says how each
type crosses and what hooks see. Fields that come from clients are theirs to choose: escape them before they reach a log.

${CONTRACTS.map(section).join('\n\n')}
`
}

function section({ contract, file, more = [], text }) {
  const sources = [file, ...more].map(textOf)
  const declared = membersFrom(sources[0], bodyOf(sources[0], 'hookpoints: {'), ',')
  const kinds = Object.entries(contract.hookpoints)
  if (declared.map((member) => member.name).join() !== kinds.map(([key]) => key).join()) {
    throw new Error(`${file} was not read right: ${declared.map((member) => member.name)}`)
  }
  const hookpoints = declared.map(({ name: key, type, doc }) => [
    code(key),
    contract.hookpoints[key].kind,
    code(eventOf(type)),
    prose(doc.replace(/^(Gate|Observe|Transform|Respond)\.\s*/, '')),
  ])
  const parts = [`## ${contract.id}\n\n${text}\n\n${table(['hookpoint', 'kind', 'event', ''], hookpoints)}`]
  const services = bodyOf(sources[0], 'services: {')
  if (services !== 0) parts.push(servicesOf(membersFrom(sources[0], services, ',')))
  const shapes = sources.flatMap(shapesOf)
  parts.push(table(['shape', 'field', 'schema', ''], shapes))
  return parts.join('\n\n')
}

function bodyOf(source, opening) {
  const at = source.indexOf(opening)
  return at === -1 ? 0 : at + opening.length
}

function servicesOf(members) {
  const rows = members.map(({ name, type, doc }) => [code(name), code(inside(type)), prose(doc)])
  return `Services, which the operator grants by name:\n\n${table(['service', 'input, output', ''], rows)}`
}

/** The first argument: the event. */
function eventOf(type) {
  const args = inside(type)
  let depth = 0
  for (const [index, char] of [...args].entries()) {
    if ('([{'.includes(char)) depth += 1
    else if (')]}'.includes(char)) depth -= 1
    else if (char === ',' && depth === 0) return tidy(args.slice(0, index))
  }
  return tidy(args)
}

function inside(type) {
  return tidy(type.slice(type.indexOf('(') + 1, type.lastIndexOf(')')))
}

function tidy(text) {
  return text
    .trim()
    .replaceAll(/^z\.object\((\{.*\})\)$/g, '$1')
    .replace(/,$/, '')
}

function shapesOf(source) {
  const rows = []
  // Shapes with a name, and those that stand at their hookpoint.
  const declared =
    /(?:const (\w+) = (?:z\.object\(|(\w+)\.extend\()?|(\w+): (?:gate|observe|transform|respond)\(\s*z\.object\()\{\n/g
  for (const match of source.matchAll(declared)) {
    const [all, constant, base, hookpoint] = match
    const name = constant ?? hookpoint
    if (/^[A-Z_]+$/.test(name)) continue
    const members = membersFrom(source, match.index + all.length, ',')
    for (const [index, { name: field, type, doc }] of members.entries()) {
      const isSpread = field.startsWith('...')
      const first = base === undefined ? code(name) : `${code(name)}, which has the fields of ${code(base)} and`
      rows.push([
        index === 0 ? first : '',
        isSpread ? `the fields of ${code(field.slice(3).replace(/\(.*/, ''))}` : code(field),
        isSpread ? '' : code(type === '' ? field : type),
        prose(doc),
      ])
    }
  }
  return rows
}
