/** Writes the plugins of an attack: the attacker's source around the attack, what lies beside it, its victim, its neighbour. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Beside, ScriptAttack } from './corpus.js'

/** What attacks are told to go for. */
export interface Targets {
  readonly secretName: string
  readonly secretFile: string
  readonly secretSize: number
  /** A file that must not come to be. */
  readonly marker: string
  /** Where nobody must connect to. */
  readonly port: number
  readonly freePort: number
  readonly channel: string
  readonly pid: number
}

/** A hook asked with any other text than `attack` is honest. */
export function attackerSource({ place, code }: ScriptAttack, targets: Targets): string {
  const imports = [...code.matchAll(/^\/\/@(import .*)$/gm)].map((match) => match[1])
  const at = (where: ScriptAttack['place']) => (where === place ? code : '')
  const hook = (name: ScriptAttack['place'], honest: string) =>
    `${name}(event, ctx) {
        if (event.text !== 'attack') return ${honest}
        ${at(name)}
      },`
  return `import { definePlugin, reject, replace } from 'hookring/plugin'
${imports.join('\n')}
const T = ${JSON.stringify(targets)}
const G = globalThis
let escaped
const textOf = (value) => { try { return String(value) } catch { return '(no text)' } }
const tell = (...found) => reject([...found, escaped ?? ''].map(textOf).join(' | ').slice(0, 380))
const each = async (...attempts) => {
  const found = []
  for (const attempt of attempts) {
    try { found.push(textOf(await attempt())) } catch { found.push('-') }
  }
  return tell(...found)
}
${at('import')}
export default definePlugin({ name: 'attacks', version: 1, hookpoints: {}, services: {} }, {
  name: 'attacker',
  setup(setup) {
    ${at('setup')}
    return {
      ${hook('onGate', 'event.text === "tell" ? tell() : undefined')}
      ${hook('onTransform', 'undefined')}
      ${hook('onRespond', '({ text: "honest" })')}
      onShutdown() { ${at('onShutdown')} },
      destroy() { ${at('destroy')} },
    }
  },
})
`
}

/** Keeps a secret that it is told, where a careless plugin would. */
export const VICTIM = `import { definePlugin, reject } from 'hookring/plugin'
export default definePlugin({ name: 'attacks', version: 1, hookpoints: {}, services: {} }, {
  name: 'victim',
  setup: () => ({
    onVictim(event) {
      globalThis.victimSecret = event.text
      return reject(\`v\${event.id}\`)
    },
  }),
})
`

export const NEIGHBOUR = `import { definePlugin, reject } from 'hookring/plugin'
export default definePlugin({ name: 'attacks', version: 1, hookpoints: {}, services: {} }, {
  name: 'neighbour',
  setup: () => ({ onNeighbour: (event) => reject(\`n\${event.id} \${event.text} \${event.blob.length}\`) }),
})
`

export function writeBeside(folder: string, beside: Beside): void {
  for (const [name, what] of Object.entries(beside)) {
    const path = join(folder, name)
    mkdirSync(dirname(path), { recursive: true })
    if ('text' in what) writeFileSync(path, what.text)
    else if ('link' in what) symlinkSync(what.link, path)
    else if ('pipe' in what) spawnSync('mkfifo', [path])
    else writeFileSync(path, what.repeated.repeat(what.times))
  }
}
