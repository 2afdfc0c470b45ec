/** Where repr(C) puts the fields of the C ABI: as quicprochat documents it, and as C compilers do it. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import {
  bytesOf,
  type CModel,
  type CStruct,
  LP64,
  layoutOf,
  SLOT_NAMES,
  STRUCTS,
  VTABLE,
  WASM32,
} from '../../dist/worker/runtimes/c-abi/layout.js'
import { because, missing } from './c-abi-plugins.js'

const SDK = fileURLToPath(new URL('../../sdk/c', import.meta.url))

const offsetsOf = (name: string, model: CModel) => {
  const struct = STRUCTS.find((struct) => struct.name === name) as CStruct
  const { offsets, sizeBytes, alignBytes } = layoutOf(struct, model)
  return [...Object.values(offsets), `size ${sizeBytes}`, `align ${alignBytes}`]
}

describe('the layout of the C ABI', () => {
  it.each([
    ['HookVTable', [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 'size 40', 'align 4']],
    ['CMessageEvent', [0, 4, 8, 12, 16, 20, 24, 32, 'size 40', 'align 8']],
    ['CAuthEvent', [0, 4, 8, 12, 16, 'size 20', 'align 4']],
    ['CChannelEvent', [0, 4, 8, 12, 16, 20, 24, 'size 28', 'align 4']],
    ['CFetchEvent', [0, 4, 8, 12, 16, 'size 20', 'align 4']],
  ])('on wasm32 is the one that quicprochat documents: %s', (name, expected) => {
    expect(offsetsOf(name, WASM32)).toEqual(expected)
  })

  it.each([
    ['HookVTable', [0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 'size 80', 'align 8']],
    ['CMessageEvent', [0, 8, 16, 24, 32, 40, 48, 56, 'size 64', 'align 8']],
    ['CAuthEvent', [0, 8, 16, 24, 32, 'size 40', 'align 8']],
    ['CChannelEvent', [0, 8, 16, 24, 32, 40, 48, 'size 56', 'align 8']],
    ['CFetchEvent', [0, 8, 16, 24, 32, 'size 40', 'align 8']],
  ])('on x86-64 is the one that quicprochat documents: %s', (name, expected) => {
    expect(offsetsOf(name, LP64)).toEqual(expected)
  })

  it('has user_data first, and the functions in the order of quicprochat’s table', () => {
    expect(Object.keys(VTABLE.fields)).toEqual([
      'user_data',
      'on_message_enqueue',
      'on_batch_enqueue',
      'on_auth',
      'on_channel_created',
      'on_fetch',
      'on_user_registered',
      'error_message',
      'destroy',
      'on_shutdown',
    ])
    expect(SLOT_NAMES).toEqual(Object.keys(VTABLE.fields).slice(1))
  })
})

/** C that compiles when a compiler lays the header's structs out as the table says. */
function assertions(model: CModel): string {
  const lines = STRUCTS.flatMap((struct) => {
    const { offsets, sizeBytes, alignBytes } = layoutOf(struct, model)
    const { name } = struct
    return [
      `_Static_assert(sizeof(${name}) == ${sizeBytes}, "size of ${name}");`,
      `_Static_assert(_Alignof(${name}) == ${alignBytes}, "alignment of ${name}");`,
      ...Object.entries(struct.fields).flatMap(([field, type]) => [
        `_Static_assert(offsetof(${name}, ${field}) == ${offsets[field]}, "offset of ${name}.${field}");`,
        `_Static_assert(sizeof(((${name} *)0)->${field}) == ${bytesOf(type, model)}, "size of ${name}.${field}");`,
      ]),
    ]
  })
  return ['#include "hookring_plugin.h"', ...lines, ''].join('\n')
}

function compile(command: string, flags: string[], source: string): { ok: boolean; said: string } {
  const args = [...flags, '-std=c11', '-Wall', '-Werror', '-fsyntax-only', '-I.', '-x', 'c', '-']
  const { status, stderr } = spawnSync(command, args, { cwd: SDK, input: source, encoding: 'utf8' })
  return { ok: status === 0, said: stderr }
}

const COMPILERS = [
  ['clang', 'clang for wasm32', ['--target=wasm32'], WASM32],
  ['clang', 'clang for x86-64', ['--target=x86_64-unknown-none', '-ffreestanding'], LP64],
  ['clang', 'clang for aarch64', ['--target=aarch64-unknown-none', '-ffreestanding'], LP64],
  ['cc', 'the C compiler of this machine', [], LP64],
] as const

for (const [command, name, flags, model] of COMPILERS) {
  const reason = missing(command)
  describe.skipIf(reason !== null)(because(name, reason), () => {
    it('lays the structs of the header out as the table says', () => {
      expect(compile(command, [...flags], assertions(model))).toEqual({ ok: true, said: '' })
    })

    it('would say so if it did not', () => {
      const wrong = assertions(model).replace(/(offsetof\(CMessageEvent, seq\) ==) \d+/, '$1 1')
      const { ok, said } = compile(command, [...flags], wrong)
      expect(ok).toBe(false)
      expect(said).toContain('offset of CMessageEvent.seq')
    })
  })
}

const reason = missing('clang')
describe.skipIf(reason !== null)(because('the header', reason), () => {
  it.each([
    ['C99', ['-std=c99', '-x', 'c']],
    ['C++11', ['-std=c++11', '-x', 'c++']],
    ['C++11 for wasm32', ['-std=c++11', '-x', 'c++', '--target=wasm32']],
  ])('compiles as %s, with every warning on', (_, flags) => {
    const args = [...flags, '-ffreestanding', '-Wall', '-Wextra', '-pedantic', '-Werror', '-fsyntax-only', '-I.', '-']
    const input = '#include "hookring_plugin.h"\n'
    const { status, stderr } = spawnSync('clang', args, { cwd: SDK, input, encoding: 'utf8' })
    expect([status, stderr]).toEqual([0, ''])
  })
})
