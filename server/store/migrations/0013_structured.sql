-- Structured values: JSON documents in their canonical form, a row each in history_text like texts, as an item's type tells.
-- As text and not as jsonb: the bytes are kept, and jsonb would refuse \u0000 and write numbers anew.
ALTER TABLE item DROP CONSTRAINT item_type_check;
ALTER TABLE item ADD CONSTRAINT item_type_check CHECK (type IN ('number', 'text', 'structured'));

-- Which of a dictionary's numbers are structured, so that their documents are judged without a look at the items.
ALTER TABLE dictionary ADD COLUMN structured bigint[] NOT NULL DEFAULT '{}';
