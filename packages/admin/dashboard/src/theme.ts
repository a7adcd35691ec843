/**
 * Applies the theme that was chosen before the page is painted: the one script that is not deferred.
 */
const chosen = ((): string | null => {
  try {
    return localStorage.getItem('recado.theme')
  } catch {
    // A browser that keeps nothing has the theme of the system.
    return null
  }
})()
if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset['theme'] = chosen

export {}
