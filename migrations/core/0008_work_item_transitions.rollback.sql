DROP TABLE work_item_transitions;
