/** What can be listed, with the filters of each. */
export type ListQuery =
  | { readonly of: 'users' }
  | { readonly of: 'urls'; readonly userId?: string | undefined; readonly isActive?: boolean | undefined }
  | {
      readonly of: 'events';
      readonly urlId?: string | undefined;
      readonly userId?: string | undefined;
      readonly eventType?: string | undefined;
    };

/** A window of a list; both are numbers of rows. */
export interface Page {
  readonly limit: number;
  readonly offset: number;
}
