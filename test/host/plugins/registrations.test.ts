/** Several plugins are made side by side, and nobody can tell by the result. Sources are stand-ins. */
import { describe, expect, it } from 'vitest'
import { engineOptionsSchema } from '../../../dist/contracts/option-schemas.js'
import { Registrations } from '../../../dist/host/plugins/registrations.js'
import { lab } from '../../fixtures/lab/contract.mjs'

/** Each plugin's file is found when the test says so. */
function open() {
  const asked = new Map<string, { found(): void; missing(): void }>()
  const sources = {
    locate: (from: string | URL) =>
      new Promise<string>((resolve, reject) => {
        const name = String(from)
        asked.set(name, { found: () => resolve(`file:///${name}`), missing: () => reject(new Error(`no ${name}`)) })
      }),
  }
  const engine = engineOptionsSchema.parse({ contract: lab })
  const parts = { engine, sources, services: { checkGrants() {} }, onBreaker() {} }
  const registrations = new Registrations(parts as never)
  return { asked, registrations }
}

const plugins = (count: number) => Array.from({ length: count }, (_, index) => ({ from: `./${index}.js` }))
const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('plugins that are made at once', () => {
  it('are looked for side by side, a bounded number at a time, and stand in their order', async () => {
    const { asked, registrations } = open()
    const making = registrations.createAll(plugins(10))
    await turn()
    expect(asked.size).toBe(8)
    for (let left = 10; left > 0; left -= 1) {
      const [last] = [...asked.keys()].reverse()
      asked.get(last as string)?.found()
      asked.delete(last as string)
      await turn()
    }
    const made = await making
    expect(made.map(({ options }) => options.from)).toEqual(plugins(10).map(({ from }) => from))
    expect(made.map(({ order }) => order)).toEqual([...made.keys()])
  })

  it('fail as the first of them that does, whichever failed before it, and begin no other', async () => {
    const { asked, registrations } = open()
    const making = registrations.createAll([...plugins(9), { from: 5 }])
    await turn()
    asked.get('./6.js')?.missing()
    await turn()
    for (const name of ['./0.js', './1.js', './3.js', './4.js', './5.js', './7.js']) asked.get(name)?.found()
    asked.get('./2.js')?.missing()
    await expect(making).rejects.toThrow('no ./2.js')
    expect(asked.has('./8.js')).toBe(false)
  })
})
