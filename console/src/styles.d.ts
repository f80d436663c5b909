/** Style sheets that a module imports. */
declare module '*.css';
