/**
 * Binds an object's methods to it, so that whoever holds them may take them off: `const { hooks, flush } = engine`. For the
 * objects of public doors. Pure.
 */
export function bindMethods<T extends object>(object: T): T {
  const methods = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(object) as object)
  for (const [name, { value }] of Object.entries(methods)) {
    if (name === 'constructor' || typeof value !== 'function') continue
    Object.defineProperty(object, name, { value: value.bind(object), writable: true, configurable: true })
  }
  return object
}
