/**
 * The hardened realm of a lane's thread, and the compartments in it. Locking down is for good and for the whole thread: lanes
 * of compartments run nothing else. The only module that knows ses. The lane's thread only, or a child process.
 */
import 'ses'

let isLocked = false

/** Freezes what all code of the thread shares. What the lane itself needs must have been imported before. */
export function lockRealm(): void {
  if (isLocked) return
  isLocked = true
  lockdown({
    // The lane's own code generation goes on; compartments have evaluators of their own, and are not given them.
    evalTaming: 'unsafe-eval',
    // Stacks name the host's files.
    errorTaming: 'safe',
    consoleTaming: 'unsafe',
    // Uncaught errors have their way already: to the host's log.
    errorTrapping: 'none',
    unhandledRejectionTrapping: 'none',
    reporting: 'none',
    domainTaming: 'unsafe',
    overrideTaming: 'severe',
  })
}

/** Frozen, with everything that can be reached from it. */
export function hardened<T>(value: T): T {
  return harden(value)
}

/** What a phase of module imports or of the evaluator's own makes of a name would open a door out of the compartment. */
const PHASED_IMPORT = /\bimport\s*(?:\/\*[\s\S]*?\*\/\s*|\/\/[^\n]*\n\s*)*\.\s*(?:source|defer)\b/

/**
 * Runs a self-contained module in a compartment of its own; what it exports by default.
 *
 * @throws SyntaxError for what a compartment does not admit, and whatever the module throws
 */
export function runInCompartment(source: string, name: string, globals: Record<string, unknown>): unknown {
  if (PHASED_IMPORT.test(source)) throw new SyntaxError('it has an import of a phase (import.source, import.defer)')
  const compartment = new Compartment({ name, globals, __options__: true })
  for (const key of ['eval', 'Function', 'Compartment', 'lockdown', 'repairIntrinsics', 'hardenIntrinsics'])
    Reflect.deleteProperty(compartment.globalThis, key)
  return compartment.evaluate(asExpression(source), {
    // What looks like an import or a comment of old becomes something harmless, in comments and strings too; without this the
    // mere word in a comment would be refused.
    __evadeImportExpressionTest__: true,
    __evadeHtmlCommentTest__: true,
  })
}

/** A bundler ends a module by naming its exports; the rest of it is a script. */
const EXPORTS = /^export\s*\{([^{}]*)\};?\s*$/m

function asExpression(module: string): string {
  const found = EXPORTS.exec(module)
  if (found === null) return `(() => {${module}\nreturn undefined })()`
  const [all, names = ''] = found
  const name = /(?:^|,)\s*([\w$]+)\s+as\s+default\s*(?:,|$)/.exec(names)?.[1] ?? 'undefined'
  const script = module.slice(0, found.index) + module.slice(found.index + all.length)
  return `(() => {${script}\nreturn ${name} })()`
}
