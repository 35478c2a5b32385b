-- The extension stays: it may have been there before us.
DROP TABLE work_items;
