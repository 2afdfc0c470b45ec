/** A plugin that cannot be imported: what a reload may find. */
throw new Error('this file cannot be imported')
