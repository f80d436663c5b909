// Begins the reference page, in its own file because the page allows no inline script.
window.SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#page',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  // Otherwise the library would show a foreign host's verdict on the document.
  validatorUrl: null,
});
