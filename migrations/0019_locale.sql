-- The language of an account: as the browser has it, until the person chooses one.
-- Accounts that are there keep theirs; who never chose and wants English has the menu at the top.

ALTER TABLE user_account
    DROP CONSTRAINT user_account_locale_check,
    ADD CONSTRAINT user_account_locale_check CHECK (locale IN ('auto', 'zh', 'en')),
    ALTER COLUMN locale SET DEFAULT 'auto';
