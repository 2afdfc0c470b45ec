import { hookInterceptor } from 'hookring/grpc'
import { expect, test } from 'vitest'
import type { Order } from '../support/rpc-service.js'
import { scriptedEngine } from '../support/scripted-engine.js'

const { engine } = scriptedEngine()
const make = (rules: unknown) => () => hookInterceptor(engine, rules as never)
const event = () => undefined

test.each([
  ['a name without a service', { Buy: {} }, /rules\["Buy"\]: must be a full method name/],
  ['rules that are no object', { '/a.B/C': 'gate' }, /must be an object/],
  ['an unknown key', { '/a.B/C': { befor: [] } }, /rules\["\/a.B\/C"\]\["befor"\]: is not known/],
  ['a rule without an event', { '/a.B/C': { before: { hookpoint: 'onOrder' } } }, /either 'event' or 'events'/],
  [
    'a rule with both',
    { '/a.B/C': { before: { hookpoint: 'onOrder', event, events: event } } },
    /either 'event' or 'events'/,
  ],
  ['an event that is no function', { '/a.B/C': { before: { hookpoint: 'onOrder', event: {} } } }, /must be a function/],
  [
    'a transform without replace',
    { '/a.B/C': { before: [{ hookpoint: 'onPrice', event }] } },
    /\["before"\]\[0\]\["replace"\]: must be a function/,
  ],
  [
    'a respond without answer',
    { '/a.B/C': { before: { hookpoint: 'onQuote', event } } },
    /"answer"\]: must be a function/,
  ],
  ['a gate after the handler', { '/a.B/C': { after: { hookpoint: 'onOrder', event } } }, /only observe can be told/],
  [
    'an unknown when',
    { '/a.B/C': { after: { hookpoint: 'onSeen', when: 'never', event } } },
    /'success', 'failure' or 'always'/,
  ],
])('%s is refused when the interceptor is made', (_, rules, message) => {
  expect(make(rules)).toThrow(
    expect.objectContaining({ code: 'OPTIONS_INVALID', message: expect.stringMatching(message) }),
  )
})

test.each(['onNothing', 'constructor', '__proto__'])(
  'the unknown hookpoint %s is refused with the names there are',
  (hookpoint) => {
    expect(make({ '/a.B/C': { before: { hookpoint, event } } })).toThrow(
      expect.objectContaining({ code: 'HOOKPOINT_UNKNOWN', message: expect.stringContaining('onOrder, onPrice') }),
    )
  },
)

test('something that is no engine is refused', () => {
  expect(() => hookInterceptor({} as never, {})).toThrow(expect.objectContaining({ code: 'OPTIONS_INVALID' }))
})

test('rules are typed by the contract', () => {
  const path = '/a.B/C'
  const typed = [
    () => hookInterceptor(engine, { [path]: { before: { hookpoint: 'onOrder', event: (order: Order) => order } } }),
    // @ts-expect-error the contract has no such hookpoint
    () => hookInterceptor(engine, { [path]: { before: { hookpoint: 'onOther', event: (order: Order) => order } } }),
    // @ts-expect-error the event lacks its total
    () => hookInterceptor(engine, { [path]: { before: { hookpoint: 'onOrder', event: () => ({ item: 'tea' }) } } }),
    // @ts-expect-error a transform must say what becomes of the request
    () => hookInterceptor(engine, { [path]: { before: { hookpoint: 'onPrice', event: (order: Order) => order } } }),
    // @ts-expect-error a gate cannot be told afterwards
    () => hookInterceptor(engine, { [path]: { after: { hookpoint: 'onOrder', event: () => undefined } } }),
  ]
  expect(typed).toHaveLength(5)
})
