// Begins the reference page. A file of its own, for the page allows no script within.
window.SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#page',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  // The library would otherwise show what a foreign host thinks of the document.
  validatorUrl: null,
});
