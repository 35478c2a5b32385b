DROP TABLE jira_instances;
